"""Templates of prose: the rules of white space, facts that are missing, and every template with facts of studies."""

import dataclasses
import re

import jinja2
import pandas as pd
import pytest

from mmbc.errors import ConfigError
from study.design.study_file import BASELINE, load
from study.evaluation.evaluation import evaluate
from study.records.added_predictions import Added, AddedFacts
from study.records.environment import Imported
from study.reporting.analysis_plan import make_plan
from study.reporting.document import report, supplement
from study.reporting.facts import prose
from study.reporting.facts.arm_names import contrast_name, display_name, display_names
from study.reporting.manifest import Options
from study.reporting.pack import gather_content
from study.reporting.text import answer
from tests.study.reporting.test_pack import with_seeds
from tests.study.reporting.test_search import nested

TEXT = """\
{# A comment. #}
First {% if many %}and second{% endif %}
line.
{% if many %}
Only with many.
{% endif %}
{% for name in names %}{{ loop.index }} {% endfor %}
{% if many %}{% set last = "End." %}{% else %}{% set last = "end." %}{% endif %}
{{ last }}

- one
  goes on
{% for name in names %}
- {{ name }}
{% endfor %}
"""


@pytest.fixture
def template(monkeypatch):
    loader = jinja2.DictLoader({"try.md.j2": TEXT})
    monkeypatch.setattr(prose, "ENVIRONMENT", prose.ENVIRONMENT.overlay(loader=loader))


def test_lines_are_joined_and_statements_leave_no_trace(template):
    said = prose.render("try", many=True, names=["two", "a name\n\n- on lines"])
    assert said == "First and second line. Only with many. 1 2 End.\n\n- one goes on\n- two\n- a name - on lines"
    assert prose.render("try", many=False, names=[]) == "First line. end.\n\n- one goes on"
    assert prose.render_items("try", many=False, names=["two"]) == ["one goes on", "two"]


def test_a_missing_fact_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="names"):
        prose.render("try", many=True)


def holdout(stored):
    keep = [name for name in stored.planned if ".r0.f0." in name]
    first = [fold for fold in stored.folds.folds if fold.place == (0, 0)]
    rows = stored.predictions.query("repeat == 0 and fold == 0")
    return dataclasses.replace(
        with_protocol(stored, repeats=1, holdout=0.3),
        folds=stored.folds.changed(kind="holdout", n_folds=1, repeats=1, folds=first),
        records={name: record for name, record in stored.records.items() if name in keep},
        planned=tuple(keep),
        predictions=rows,
    )


def with_protocol(stored, **values):
    protocol = stored.settings.protocol.model_copy(update=values)
    return dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))


def half(stored):
    records = {name: record for name, record in stored.records.items() if not name.startswith("image.r1")}
    rows = stored.predictions.query("not (arm == 'image' and repeat == 1)")
    return dataclasses.replace(stored, records=records, predictions=rows)


def imported(stored):
    about = Imported(file="mine.csv", sha256="0" * 64, n_rows=12, columns={})
    return dataclasses.replace(
        stored, environment=stored.environment.changed(imported=about), history=stored.history.iloc[:0]
    )


def added(stored):
    rows = stored.predictions.query("arm == 'image' and part == 'test'").assign(arm="mine")
    facts = AddedFacts(file="mine.csv", sha256="0" * 64, n_rows=len(rows), arms=("mine",), notes=("Matched.",))
    return dataclasses.replace(stored, added=Added(facts, rows))


def nothing(stored):
    return dataclasses.replace(
        stored, records={}, predictions=stored.predictions.iloc[:0], history=stored.history.iloc[:0]
    )


def planned(stored, **facts):
    """Return the study with an analysis plan that it follows, and with example images of which none is at hand."""
    plan = make_plan(stored, tested=("first",), expected="The precision is not known.", command="mmbc cv")
    changed = plan.facts.changed(**{"written": "2020-03-03T00:00:00Z"} | facts)
    return dataclasses.replace(stored, plan=dataclasses.replace(plan, facts=changed), pictures={})


STUDIES = {
    "one seed": lambda stored: stored,
    "three seeds": lambda stored: with_seeds(stored, 3, gain=8.0),
    "prevalence": lambda stored: with_protocol(stored, prevalence=0.05),
    "holdout": holdout,
    "half": half,
    "imported": imported,
    "nothing": nothing,
    "search": nested,
    "added": added,
    "planned": planned,
    "deviating": lambda stored: with_protocol(planned(stored), delta=0.1, seeds=3),
    "planned late": lambda stored: planned(stored, written="2999-01-01T00:00:00Z"),
}


@pytest.fixture(scope="module")
def documents(evaluated):
    """Every template that was rendered, and the documents and captions of each study, as if it were large enough."""
    used, texts, captions, original = set(), {}, {}, jinja2.Environment.get_template

    def spied(environment, name, *args, **options):
        if environment is prose.ENVIRONMENT:
            used.add(name)
        return original(environment, name, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "get_template", spied)
        patch.setattr(answer, "TINY", 2)
        for name, change in STUDIES.items():
            study = change(evaluated[0])
            content = gather_content(study, evaluate(study, n_replicates=100), Options())
            texts[name] = report(content), supplement(content)
            floats = {
                **{table.name: table for table in content.tables},
                **{f"figure {n}": d for n, d in content.drawings.items()},
            }
            captions[name] = {about: one.caption for about, one in floats.items()}
    return used, texts, captions


@pytest.mark.slow
def test_every_template_has_its_facts(documents):
    used, *_ = documents
    others = (
        "compared",
        "to_write",
        "tables/differing_settings",
        "tables/comparisons_by_patient",
        "tables/learning_curve",
        "figures/learning_curve",
        "ledger",
        "precision",
        "precision_assumptions",
        "several_classes",
    )
    elsewhere = {f"{name}.md.j2" for name in others}
    there = {path.relative_to(prose.TEMPLATES).as_posix() for path in prose.TEMPLATES.rglob("*.md.j2")}
    assert there - elsewhere == used - elsewhere


@pytest.mark.slow
def test_no_caption_is_longer_than_100_words(documents):
    lengths = {
        (study, name): len(caption.replace(" %", "%").split())
        for study, captions in documents[2].items()
        for name, caption in captions.items()
    }
    too_long = {place: n for place, n in lengths.items() if n > 100}
    assert lengths and not too_long, str(too_long)


@pytest.mark.slow
def test_limitations_are_for_readers_and_name_no_option(documents):
    _, texts, _ = documents
    for name, (_, whole) in texts.items():
        points = whole.partition("## Limitations")[2].partition("## Provenance")[0]
        assert not re.search(r"`?--[a-z]|protocol\.", points), (name, points)


VERDICTS = ("better", "worse", "equivalent", "non-inferior", "any gain is below δ", "inconclusive", "not assessed")


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("pair", [("concat", "tabular"), ("attention", "concat"), ("image", "tabular")])
def test_a_contrast_is_one_sentence_of_at_most_30_words(evaluated, verdict, pair):
    study, evaluation = evaluated
    row = evaluation.comparisons.iloc[0].to_dict() | dict(zip(("first", "second"), pair, strict=True))
    ends = {"e2_low": 0.01, "e2_high": 0.2, "e2_low_90": 0.02, "e2_high_90": 0.18}
    row |= ends | {"difference": -0.1 if verdict == "worse" else 0.1, "verdict": verdict}
    facts = answer.contrast_facts(study, evaluation, row) | {"by_class": []}
    said = prose.render("contrast", **facts)
    assert len(said.replace(" %", "%").split()) <= 30 and said.endswith(".") and said.count(". ") == 0, said
    assert "E1" not in said and "E2" not in said and "arm" not in said.split()
    if verdict == "inconclusive":
        assert re.search(r", trained again: \+0.010? to \+0.200?\); not established after correction \(4 compari", said)
    model = " (network)" if pair == ("concat", "tabular") else ""
    first, second, difference = facts["auc_first"], facts["auc_second"], facts["difference"]
    whole = [f"the AUC from {second}{model} to {first}: {difference} (9"]
    if pair == ("image", "tabular"):  # neither is the other with something added
        whole = [f"{first} against {second}, {difference} (9", f"AUCs of {first} and {second}: {difference} (9"]
    assert any(one in said for one in whole) or (verdict == "not assessed" and "remains open: AUC" in said)


def test_an_auc_that_stays_the_same_is_named_once_and_gets_a_digit_where_the_difference_shows(evaluated):
    study, evaluation = evaluated
    row = evaluation.comparisons.iloc[0].to_dict() | {"first": "concat", "second": "tabular", "verdict": "inconclusive"}
    row |= {"e2_low": -0.02, "e2_high": 0.03, "n_patients": 294}

    def said(first, second):
        summary = evaluation.summary.copy()
        for arm, value in (("concat", first), ("tabular", second)):
            summary.loc[(summary["arm"] == arm) & (summary["metric"] == "roc_auc"), "value"] = value
        found = dataclasses.replace(evaluation, summary=summary)
        return prose.render("contrast", **answer.contrast_facts(study, found, row | {"difference": first - second}))

    assert said(0.872, 0.869) == (
        "Whether adding mammograms to age and density helps remains open: AUC 0.87 with and 0.87 (network) without,"
        " difference 0.00 (95 % CI, trained again: 0.02 lower to 0.03 higher)."
    )
    assert "AUC 0.874 with and 0.866 (network) without, difference +0.008 (95 % CI, trained again: 0.020 lower" in said(
        0.874, 0.866
    )
    assert "AUC 0.69 with and 0.64 (network) without, difference +0.05 (95 % CI" in said(0.685, 0.635)
    assert "AUC 0.685 with and 0.635 (network) without, difference +0.050 (95 % CI" in said(0.6849, 0.6351), (
        "0.68 - 0.64"
    )


@pytest.mark.parametrize("verdict", ["better", "inconclusive", "not assessed"])
@pytest.mark.parametrize("low", [-0.05, 0.01])
def test_the_models_of_a_contrast_with_the_logistic_regression_are_named(evaluated, verdict, low):
    study, evaluation = evaluated
    row = evaluation.comparisons.iloc[0].to_dict() | {"first": "concat", "second": BASELINE, "verdict": verdict}
    row |= {"difference": 0.2, "e1_low": low, "e1_high": 0.3, "e2_low": low, "e2_high": 0.3, "e1_p_holm": 0.2}
    said = prose.render("contrast", **answer.contrast_facts(study, evaluation, row))
    assert "(logistic regression)" in said and len(said.replace(" %", "%").split()) <= 30, said
    assert ("(network)" in said) == (verdict != "not assessed"), said
    assert ("remains open" in said) == (low < 0 and verdict != "better"), said


@pytest.mark.parametrize(
    ("p", "low", "said"),
    [
        (0.01, 0.002, ": +0.070 (95 % CI, these fitted models: +0.002 to +0.130); whether this recurs is unknown."),
        (0.06, 0.01, "to +0.130); not established after correction (4 comparisons)."),
        (0.06, -0.01, "difference +0.070 (95 % CI, these fitted models: 0.010 lower to 0.130 higher)."),
    ],
)
def test_what_the_interval_of_one_seed_shows_is_said_as_it_is(evaluated, p, low, said):
    study, evaluation = evaluated
    row = evaluation.comparisons.iloc[0].to_dict() | {"first": "concat", "second": "tabular", "verdict": "not assessed"}
    row |= {"difference": 0.07, "e1_low": low, "e1_high": 0.13, "e1_p_holm": p, "n_patients": 294}
    assert said in prose.render("contrast", **answer.contrast_facts(study, evaluation, row))


@pytest.mark.parametrize(
    ("verdict", "ends", "said"),
    [
        ("better", (0.01, 0.13), ["Benign alone, no gain was shown: −0.04 (95 % CI −0.11 to +0.03, these fitted"]),
        ("not assessed", (0.01, 0.13), ["Benign alone, the difference was −0.04", "Normal alone, the difference was"]),
        ("inconclusive", (0.01, 0.13), ["Benign alone, the difference was −0.04", "Normal alone, the difference was"]),
        ("not assessed", (-0.01, 0.13), ["Normal alone, the difference was +0.170 (95 % CI +0.002 to +0.250, these"]),
        ("inconclusive", (-0.01, 0.13), ["Normal alone, the difference was +0.170 (95 % CI +0.002 to +0.250, these"]),
        ("non-inferior", (-0.01, 0.13), ["Normal alone, the difference was +0.170 (95 % CI +0.002 to +0.250, these"]),
        ("equivalent", (0.001, 0.013), ["Normal alone, the difference was +0.170 (95 % CI +0.002 to +0.250, these"]),
    ],
)
def test_negative_classes_that_differ_stand_beside_every_verdict(evaluated, verdict, ends, said):
    study, evaluation = evaluated
    pair = {"first": "concat", "second": "tabular"}
    lines = [
        pair | {"against": "Benign", "difference": -0.04, "low": -0.11, "high": 0.03, "p": 0.2},
        pair | {"against": "Normal", "difference": 0.17, "low": 0.002, "high": 0.25, "p": 0.04},
    ]
    row = evaluation.comparisons.iloc[0].to_dict() | pair | {"verdict": verdict, "difference": 0.07, "n_patients": 294}
    row |= dict(zip(("e1_low", "e1_high"), ends, strict=True)) | dict(zip(("e2_low", "e2_high"), ends, strict=True))
    row |= {"e1_p_holm": 0.06, "patients_needed": float("nan")}
    found = dataclasses.replace(evaluation, comparisons_by_class=pd.DataFrame(lines))
    more = prose.render("contrast_more", **answer.contrast_facts(study, found, row))
    assert more.count("Against ") == len(said) and all(f"Against {text}" in more for text in said), more


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["better", "inconclusive"], ""),
        (["better", "non-inferior"], "The statement that a loss of 0.02 or more is unlikely rests on 90 % CIs"),
        (
            ["equivalent", "any gain is below δ"],
            "The statements that two models perform alike and that a gain of 0.02 or more is unlikely rest on 90 % C",
        ),
    ],
)
def test_what_rests_on_90_percent_intervals_is_said_where_a_verdict_does(evaluated, monkeypatch, verdicts, said):
    study, evaluation = evaluated
    monkeypatch.setattr(answer, "TINY", 1)
    rows = evaluation.comparisons.iloc[:2].assign(verdict=verdicts)
    text = answer.answer(study, dataclasses.replace(evaluation, comparisons=rows))
    about = text.partition("**What the intervals mean.**")[2].partition("**Patients and models.**")[0]
    assert text.startswith("Each line compares two models by their AUC") and "both of two" in about
    assert ("Not shown to differ does not mean shown to be equal." in about) == ("inconclusive" in verdicts)
    assert "**What this does not show.** How the models perform on patients of other hospitals" in text
    assert said in about if said else "90 %" not in about


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_sentences_are_whole(documents, name):
    for text in documents[1][name]:
        prosaic = [line for line in text.splitlines() if line and line[0] not in "|#!"]
        for line in prosaic:
            assert not re.search(r"  | [.;,](\s|$)|\( ", line), line
            assert "{{" not in line and "None" not in line and "nan" not in line.split(), line


def test_arms_have_names_that_a_reader_understands(stored):
    assert display_name(stored, "concat") == "Images + clinical data, concatenated"
    assert display_name(stored, BASELINE) == "Logistic regression" and display_name(stored, "mine") == "mine"
    named = load("tiny", None, ['names.concat="Both"', 'names.logistic="LR"'])
    other = dataclasses.replace(stored, settings=named)
    assert display_names(other) == {
        "image": "Images alone",
        "tabular": "Clinical data alone",
        "concat": "Both",
        "attention": "Images + clinical data, attention",
        "logistic": "LR",
    }
    changed = dataclasses.replace(
        stored, settings=load("tiny", None, ['arms.image={question="?",set={"model.inputs"=["tabular"]}}'])
    )
    assert display_name(changed, "image") == "image", "an arm of one's own is not called what it is not"
    assert display_name(imported(stored), "concat") == "concat"
    with pytest.raises(ConfigError, match="two arms have the same name"):
        load("tiny", None, ['names.concat="One"', 'names.image="One"'])


def test_contrasts_say_what_is_added(stored):
    assert contrast_name(stored, "concat", "tabular") == "Adding mammograms to clinical data (network)"
    one = with_protocol(stored, contrasts=(("concat", "tabular"),))
    assert contrast_name(one, "concat", "tabular") == "Adding mammograms to clinical data"
    assert contrast_name(stored, "concat", "image") == "Adding clinical data to mammograms"
    assert contrast_name(stored, "attention", "concat") == "Attention instead of concatenation"
    assert contrast_name(stored, "image", "tabular") == "Images alone minus Clinical data alone"
    both = with_protocol(stored, contrasts=(("concat", BASELINE), ("concat", "tabular")))
    assert contrast_name(both, "concat", BASELINE) == "Adding mammograms to clinical data (logistic regression)"
    assert contrast_name(both, "concat", "tabular") == "Adding mammograms to clinical data (network)"
