"""An analysis plan: dated and locked before testing, followed or departed from, and never said to be what it is not."""

import dataclasses
import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from mmbc.errors import ConfigError, StudyError
from study import cv, search, verify
from study.evaluation.evaluation import evaluate
from study.evaluation.planned_analysis import deviations, planned_facts, setting_deviations, written
from study.records.analysis_plan import FILE, parse_plan, read_plan, sealed, stored_plan
from study.records.cell_records import CellRecord
from study.records.stored_study import load_study, write_archive
from study.reporting.analysis_plan import make_plan
from study.reporting.methods.plan import plan

RUN = CliRunner()
TRAIN = ["--data", "phantom", "--preset", "tiny", "--ablation", "tabular", "--no-figures"]
TRAIN += ["--set", 'protocol.contrasts=[["tabular", "logistic"]]']


def invoke(folder, *words, app=cv.app, name="planned"):
    places = ["--out", f"{folder}/results", "--reports", f"{folder}/reports", "--name", name]
    done = RUN.invoke(app, [*TRAIN, *places, *words], env={"COLUMNS": "400"})
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a plan, the study that follows it, and its report with its predictions."""
    folder = tmp_path_factory.mktemp("plans")
    code, text = invoke(folder, "--write-plan", f"{folder}/plan.md")
    assert code == 0 and "Nothing was trained" in text, text
    assert not (folder / "results" / "planned").exists()
    code, text = invoke(folder, "--plan", f"{folder}/plan.md", "--with-predictions")
    assert code == 0 and "The study follows the analysis plan of" in text, text
    return folder


def methods(study, **changes):
    changed = dataclasses.replace(study, **changes)
    (text,) = plan(changed, evaluate(changed, n_replicates=2000))
    return text


def test_a_plan_says_what_will_be_done_and_carries_its_own_digest(place):
    text = (place / "plan.md").read_text()
    facts = read_plan(place / "plan.md").facts
    assert sealed(text) == text and "No model of this study had been tested." in text
    assert facts.cohort["n_patients"] == 32 and facts.settings["protocol.delta"] == 0.02
    assert facts.arms == {"tabular": {"model.inputs": ["tabular"]}} and facts.rules["correction"] == "Holm"
    for said in ("[authors: why a difference of 0.02 in AUC", "2-fold cross-validation by patient", "--plan "):
        assert said in text
    assert "--write-plan" not in text and "nan" not in text and "None" not in text
    assert load_study(place / "results" / "planned").folds.digest(1) == facts.folds["digest"]


def test_every_edit_breaks_the_lock(place):
    text = (place / "plan.md").read_text()
    for old, new in (("0.02", "0.05"), ("Holm", "none"), ("\n## Models", "\n\n## Models"), ("phantom", "Phantom")):
        assert not parse_plan(text.replace(old, new, 1), "x").intact, old
    digest = read_plan(place / "plan.md").digest
    assert not parse_plan(text.replace(digest, "1" * 64), "x").intact
    for damaged in ("", "# A plan\n", text.replace("```toml", "```"), text.replace('written = "', 'written = "x')):
        with pytest.raises(ConfigError, match="x: "):
            parse_plan(damaged, "x")


def test_a_second_time_the_authors_text_stays_and_the_lock_is_new(place, tmp_path):
    file = tmp_path / "plan.md"
    answer = "Nobody would be\n\n- recalled for it\n- or not"
    edited = re.sub(r"\[authors: why a difference[^]]*\]", answer, (place / "plan.md").read_text())
    file.write_text(edited)
    code, text = invoke(tmp_path, "--plan", str(file))
    assert code == 2 and "was edited after it was locked" in text and f"--write-plan {file}" in text
    code, text = invoke(tmp_path, "--write-plan", str(file), "--set", "protocol.delta=0.03")
    assert code == 0, text
    again = read_plan(file)
    assert again.intact and f"-->{answer}<!--" in again.text and "0.03" in again.text
    assert again.n_open == read_plan(place / "plan.md").n_open - 1
    assert [one["sha256"] for one in again.facts.earlier] == [read_plan(place / "plan.md").digest]


def test_what_contradicts_a_plan_is_refused_before_any_work(place, tmp_path):
    (tmp_path / "other.md").write_text("# Notes\n")
    for words, said in (
        (["--write-plan", "plan.md", "--plan", "plan.md"], "give one of them"),
        (["--write-plan", "plan.md", "--dry-run"], "--dry-run writes nothing"),
        (["--write-plan", f"{tmp_path}/other.md"], "is no analysis plan of this program"),
        (["--plan", f"{tmp_path}/absent.md"], "absent.md: cannot be read"),
    ):
        code, text = invoke(tmp_path, *words)
        assert code == 2 and said in text, text
    assert (tmp_path / "other.md").read_text() == "# Notes\n" and not (tmp_path / "results" / "planned").exists()


def test_a_study_that_follows_its_plan_says_so_and_passes(place):
    study = load_study(place / "results" / "planned")
    assert study.plan.digest == study.environment.plan == read_plan(place / "plan.md").digest
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record.tested) for record in study.records.values())
    said = f"The analysis plan of {study.plan.date} was written before testing; the analysis follows it."
    report = place / "reports" / "planned"
    for name in ("methods.md", "supplement.md", "methods.tex"):
        assert said in (report / name).read_text(), name
    assert "[U+" not in (report / "methods.tex").read_text()
    assert (report / FILE).read_text() == (place / "plan.md").read_text()
    done = RUN.invoke(verify.app, [str(report)])
    assert done.exit_code == 0 and "Deviation" not in done.output, done.output


def test_every_deviation_is_listed_with_what_was_planned_and_done(place):
    code, text = invoke(
        place, "--plan", f"{place}/plan.md", "--set", "protocol.delta=0.05", "--seeds", "2", name="otherwise"
    )
    assert code == 0 and "The study deviates from the analysis plan" in text
    report = place / "reports" / "otherwise"
    for name in ("methods.md", "report.md", "supplement.md"):
        text = (report / name).read_text()
        assert "2 points: (1) Training seeds: planned 1, done 2; (2) Largest" in text, name
        assert "(δ): planned 0.02, done 0.05." in text, name
    assert "AUTHOR MUST FILL: why the analysis deviates" in (report / "methods.md").read_text()
    done = RUN.invoke(verify.app, [str(report), "--results", f"{place}/results"], env={"COLUMNS": "400"})
    assert done.exit_code == 0 and "Training seeds: planned 1, done 2" in done.output, done.output


def test_what_differs_is_named_whatever_it_is(place):
    study = load_study(place / "results" / "planned")
    plan_, done = study.plan.facts, planned_facts(study.settings, study.cohort, study.cohort_digest, study.folds)
    assert setting_deviations(plan_, done, study.folds) == []
    texts = {
        str(one)
        for one in setting_deviations(
            plan_,
            done | {"arms": {"image": {}}, "cohort": done["cohort"] | {"n_patients": 31, "digest": "0"}},
            study.folds.changed(folds=study.folds.folds[::-1]),
        )
    }
    assert "Model tabular: planned trained, done not trained" in texts and "Patients: planned 32, done 31" in texts
    assert any(text.startswith("Division of the patients") for text in texts)
    other = dataclasses.replace(study, chosen_contrasts=(("tabular", "logistic"),), records={})
    found = {one.what: one.done for one in deviations(other, evaluate(other, n_replicates=100))}
    assert found["Comparisons"] == "tabular minus logistic" and found["Bootstrap samples"] == "100"
    assert found["Fits"] == "0" and deviations(dataclasses.replace(study, plan=None), evaluate(study)) == []


def test_a_plan_is_called_early_only_where_the_record_shows_it(place):
    study = load_study(place / "results" / "planned")
    later = dataclasses.replace(study.plan, facts=study.plan.facts.changed(written="2999-01-01T00:00:00Z"))
    undated = {name: record.without("tested") for name, record in study.records.items()}
    others = dataclasses.replace(study.plan, facts=study.plan.facts.changed(tested=["first"]))
    edited = dataclasses.replace(study.plan, text=study.plan.text.replace("Holm", "Holme"))
    for changes, said in (
        ({"plan": later}, "was written after testing had begun"),
        ({"records": undated}, "whether it was written before testing is not known"),
        ({"plan": others}, "but after models had been tested on the same cohort (first)"),
        ({"plan": edited}, "was edited after it was locked"),
        ({"environment": study.environment.changed(plan="0" * 64)}, "was edited after it was locked"),
    ):
        text = methods(study, **changes)
        assert said in text and "written before testing;" not in text, text
    assert written(dataclasses.replace(study, records={})) == "before"


def test_a_plan_that_is_written_after_results_says_so(place, tmp_path):
    code, text = invoke(place, "--write-plan", f"{tmp_path}/late.md")
    assert code == 0 and "Models have been tested on this cohort already" in text
    assert "so this plan was not written before testing" in (tmp_path / "late.md").read_text()
    assert "planned" in read_plan(tmp_path / "late.md").facts.tested
    code, text = invoke(place, "--write-plan", f"{tmp_path}/next.md", name="next")
    assert code == 0 and "models had been tested on the same cohort in" in (tmp_path / "next.md").read_text()
    code, text = invoke(place, "--plan", f"{tmp_path}/late.md")
    assert code == 2 and "was begun with the plan of" in text and "use another --name" in text


def test_an_edited_plan_is_named_wherever_it_lies(place, tmp_path):
    report = shutil.copytree(place / "reports" / "planned", tmp_path / "planned")
    for file in (report / FILE, report / "study" / FILE):
        kept = file.read_text()
        file.write_text(kept.replace("δ = 0.02", "δ = 0.01"))
        done = RUN.invoke(verify.app, [str(report)], env={"COLUMNS": "400"})
        assert done.exit_code == 1 and f"- {file.relative_to(report).as_posix()}," in done.output, done.output
        file.write_text(kept)
    study = shutil.copytree(place / "results" / "planned", tmp_path / "results" / "planned")
    (study / FILE).write_text((study / FILE).read_text().replace("δ = 0.02", "δ = 0.01"))
    done = RUN.invoke(verify.app, [str(place / "reports" / "planned"), "--study", str(study)], env={"COLUMNS": "400"})
    assert done.exit_code == 1
    code, text = invoke(tmp_path, "--seeds", "2")
    assert code == 2 and "was edited after it was locked" in text and "restore it" in text
    (study / FILE).write_text("nothing")
    with pytest.raises(StudyError, match="analysis_plan.md: is no analysis plan"):
        load_study(study)


def test_an_archive_keeps_the_plan_and_forgets_one_that_is_gone(place, tmp_path):
    study = load_study(place / "results" / "planned")
    write_archive(study, tmp_path)
    assert load_study(tmp_path).plan == study.plan and FILE in json.loads((tmp_path / "archive.json").read_text())
    assert deviations(load_study(tmp_path), evaluate(study)) == [], "paths that an archive lacks are no deviation"
    write_archive(dataclasses.replace(study, plan=None), tmp_path)
    assert stored_plan(tmp_path) is None and load_study(tmp_path).plan is None


def test_of_a_search_the_plan_has_the_space(tmp_path):
    code, text = invoke(
        tmp_path, "--trials", "2", "--inner-folds", "2", "--write-plan", f"{tmp_path}/plan.md", app=search.app
    )
    assert code == 0, text
    facts = read_plan(tmp_path / "plan.md").facts
    assert facts.rules["search"] == "nested" and "model.dropout" in facts.settings["search.space"]
    assert "Hyper-parameters will be searched (nested): 2 trials" in (tmp_path / "plan.md").read_text()


def test_the_date_of_a_record_is_when_it_was_tested(evaluated):
    dates = {record.tested for record in evaluated[0].records.values()}
    assert None not in dates and CellRecord.model_fields["tested"].default is None


@pytest.mark.parametrize("settings", [{"prevalence": 0.05, "thresholds": (0.01, 0.2)}, {"contrasts": ()}, {"seeds": 3}])
def test_sentences_of_a_plan_are_whole(stored, settings):
    protocol = stored.settings.protocol.model_copy(update=settings)
    study = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))
    text = make_plan(study, tested=(), expected="The precision is not known.", command="mmbc cv").text
    for line in text.partition("```toml")[0].splitlines():
        assert not re.search(r"  | [.;,](\s|$)|\( |\{\{|\{%|None|\bnan\b|\u241f", line), line
