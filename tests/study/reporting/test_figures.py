"""The figures: drawn without a warning for every kind of study, true to the evaluation, fit for print."""

import dataclasses
import inspect
import re
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mmbc.errors import ConfigError
from study.design.study_file import BASELINE, Arm
from study.evaluation.evaluation import evaluate
from study.evaluation.verdicts import in_few_words
from study.records.cell_records import CellRecord
from study.records.environment import Imported
from study.records.stored_study import planned_cells
from study.reporting import document
from study.reporting.figures import compression, curves, forests, overview, probabilities, style
from study.reporting.figures.catalogue import ORDER, catalogue, how_tested
from study.reporting.figures.decisions import matrix
from study.reporting.figures.flow import flow
from study.reporting.figures.narrow import arrangement
from study.reporting.figures.parts import extent, small_multiples, wrapped
from study.reporting.figures.style import JOURNALS, fonts, journal_style, look, looks, missing_letters, png, save
from study.reporting.tables import all_tables
from study.text.format import interval, whole

FOUR = ["image", "tabular", "concat", "attention"]
MANY = [*FOUR, "a_name_of_20_letters", "B", "no-age", "no_density", "late_fusion", "gated", "deep", "wide"]


@pytest.fixture(scope="module")
def study(evaluated):
    return evaluated[0]


@pytest.fixture(scope="module")
def evaluation(evaluated):
    return evaluated[1]


def cell(coordinates):
    arm, repeat, fold, seed = coordinates
    return f"{arm}.r{repeat}.f{fold}.s{seed}", {"arm": arm, "repeat": repeat, "fold": fold, "seed": seed}


def altered(study, predictions, arms=None, history=None, folds=None, **protocol):
    """A study of these predictions, with other arms and another protocol."""
    settings = study.settings.model_copy(update={"protocol": study.settings.protocol.model_copy(update=protocol)})
    if arms:
        settings = settings.model_copy(update={"arms": {arm: Arm(question="?") for arm in arms}})
    there = predictions[["arm", "repeat", "fold", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    records = {name: CellRecord(name=name, **where) for name, where in map(cell, there)}
    planned = [n for n in planned_cells(settings, folds or study.folds) if n in records or not n.startswith(BASELINE)]
    return dataclasses.replace(
        study,
        settings=settings,
        folds=folds or study.folds,
        planned=tuple(planned),
        records=records,
        predictions=predictions,
        history=study.history.iloc[:0] if history is None else history,
    )


def one_arm(study):
    return altered(study, study.predictions.query("arm == 'image'"), ["image"])


def twelve_arms(study):
    rng, rows = np.random.default_rng(0), study.predictions
    parts = [rows[rows["arm"] == BASELINE]]
    for number, arm in enumerate(MANY):
        mine = rows[rows["arm"] == FOUR[number % 4]]
        parts.append(mine.assign(arm=arm, logit=mine["logit"] + rng.normal(0, 0.2, len(mine))))
    pairs = (("concat", "image"), ("a_name_of_20_letters", "no_density"), ("late_fusion", "gated"))
    return altered(study, pd.concat(parts, ignore_index=True), MANY, contrasts=pairs, prevalence=0.01)


def three_seeds(study):
    rng, rows = np.random.default_rng(1), study.predictions
    parts = [rows[rows["arm"] == BASELINE]]
    for seed in range(3):
        mine = rows[rows["arm"] != BASELINE]
        parts.append(mine.assign(seed=seed, logit=mine["logit"] + rng.normal(0, 0.2, len(mine))))
    pairs = (("concat", "tabular"), ("concat", "image"), ("tabular", BASELINE))
    return altered(study, pd.concat(parts, ignore_index=True), seeds=3, contrasts=pairs)


def hold_out(study):
    single = study.folds.changed(kind="holdout", n_folds=1, repeats=1, folds=study.folds.folds[:1])
    rows = study.predictions.query("repeat == 0 and fold == 0")
    return altered(study, rows, folds=single, repeats=1, holdout=0.5)


def half_finished(study):
    rows = study.predictions.query("not (arm == 'attention' or (arm == 'concat' and repeat == 1))")
    return altered(study, rows)


def nothing_finished(study):
    return altered(study, study.predictions.iloc[:0])


def imported(study):
    environment = study.environment.changed(imported=Imported())
    return dataclasses.replace(altered(study, study.predictions, history=study.history), environment=environment)


def breasts(study):
    data = study.settings.data.model_copy(update={"label_level": "breast"})
    settings = study.settings.model_copy(update={"data": data})
    return dataclasses.replace(altered(study, study.predictions), settings=settings)


def with_prevalence(study):
    protocol = study.settings.protocol.model_copy(update={"prevalence": 0.2})
    return dataclasses.replace(study, settings=study.settings.model_copy(update={"protocol": protocol}))


CASES = {
    "one arm": one_arm,
    "twelve arms": twelve_arms,
    "three seeds": three_seeds,
    "hold-out": hold_out,
    "half": half_finished,
    "nothing": nothing_finished,
    "imported": imported,
    "breasts": breasts,
    "all": with_prevalence,
}
ALWAYS = {"flow"}
PLAIN = ALWAYS | {"main", "roc_pr", "calibration", "risk", "confusion"}
EXPECTED = {
    "one arm": PLAIN | {"auc_by_fold", "instability"},
    "twelve arms": PLAIN | {"auc_by_fold", "instability", "contrasts", "decision"},
    "three seeds": PLAIN | {"auc_by_fold", "instability", "contrasts"},
    "hold-out": (PLAIN | {"contrasts"}) - {"calibration"},  # too few patients are tested
    "half": PLAIN | {"auc_by_fold", "instability"},
    "nothing": ALWAYS,
    "imported": PLAIN | {"auc_by_fold", "instability", "contrasts"},
    "breasts": PLAIN | {"auc_by_fold", "instability", "contrasts"},
    "all": PLAIN
    | {
        "auc_by_fold",
        "instability",
        "contrasts",
        "decision",
        "loss_accuracy",
        "f1_auc",
        "generalisation_gap",
        "comprehensive_results",
    },
}


@pytest.fixture(scope="module")
def numbers_of(study):
    """Case -> its study and the numbers of it, computed once."""

    @cache
    def numbers(case):
        chosen = CASES[case](study)
        return chosen, evaluate(chosen, n_replicates=50)

    return numbers


FEW = ("twelve arms", "hold-out", "nothing", "all")


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case if case in FEW else pytest.param(case, marks=pytest.mark.exhaustive) for case in CASES]
)
def test_every_figure_of_every_kind_of_study(case, numbers_of):
    drawings = catalogue(*numbers_of(case))
    assert set(drawings) - {"subgroups"} == EXPECTED[case]
    assert list(drawings) == [name for name in ORDER if name in drawings]
    for name, drawing in drawings.items():
        figure, data = drawing.draw()
        assert figure.get_size_inches()[0] * 25.4 == pytest.approx(JOURNALS["nature"][drawing.wide]), name
        assert len(data) and drawing.title and drawing.caption.endswith("."), name
        assert "nan" not in drawing.caption and "  " not in drawing.caption and ".." not in drawing.caption, name
        assert overhang(figure) < 1, name


def overhang(figure):
    """How far anything drawn leaves the canvas, in points."""
    figure.draw_without_rendering()
    box, (wide, tall) = figure.get_tightbbox(), figure.get_size_inches()
    return 72 * max(-box.x0, -box.y0, box.x1 - wide, box.y1 - tall)


@pytest.mark.slow
def test_the_files_are_fit_for_print_and_the_same_twice(study, evaluation, tmp_path):
    names = ("main", "contrasts", "roc_pr", "flow")
    for folder in ("once", "again"):
        drawings = catalogue(study, evaluation)
        for name in names:
            save(*drawings[name].draw(), tmp_path / folder, name, "a notice")
    for name in names:
        wide = catalogue(study, evaluation)[name].wide
        with Image.open(tmp_path / "once" / f"{name}.png") as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert image.width == (2161 if wide else 1051)
        pdf = (tmp_path / "once" / f"{name}.pdf").read_bytes()
        assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
        svg = (tmp_path / "once" / f"{name}.svg").read_text()
        assert "'Arial', 'Liberation Sans'" in svg and "sans-serif" in svg
        assert "<text" in svg and "a notice" in svg and len(svg) < 150_000 and "<dc:date>" not in svg
        assert not re.search(r' d="[^"]*\.\d{3}', svg), "coordinates of 2 decimals"
        assert pd.read_csv(tmp_path / "once" / f"{name}.csv").columns[-1] == "notice: a notice"
    for path in (tmp_path / "once").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("journal", JOURNALS)
def test_widths_of_journals_reach_every_figure(journal, study, evaluation):
    with journal_style(journal):
        for name, drawing in catalogue(study, evaluation).items():
            if name in ("main", "flow", "contrasts", "auc_by_fold", "risk"):
                figure, _ = drawing.draw()
                assert figure.get_size_inches()[0] * 25.4 == pytest.approx(JOURNALS[journal][drawing.wide]), name


def test_an_unknown_journal_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'nature'"), journal_style("natur"):
        pass


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_the_legend_has_the_table_s_auc(study, evaluation):
    known = looks([*study.settings.arms, BASELINE])
    figure, data = overview.main(evaluation.scores, evaluation.summary, evaluation.reliability, known, evaluation.unit)
    areas = evaluation.summary.query("level == 'patient' and metric == 'roc_auc'")
    for line in areas.itertuples():
        assert interval("roc_auc", line.value, line.low, line.high) in texts_of(figure)
    assert set(data["panel"]) == {"roc", "calibration", "histogram"}


def test_areas_under_the_mean_curves_are_the_table_s(study, evaluation):
    known = looks([*study.settings.arms, BASELINE])
    _, data = curves.roc_pr(evaluation.scores, evaluation.summary, known, "patient")
    table = evaluation.summary.query("level == 'patient'").set_index(["arm", "metric"])["value"]
    for (arm, curve), line in data[data["what"] == "curve"].groupby(["arm", "curve"]):
        area = np.trapezoid(line["mean"], line["x"])
        assert area == pytest.approx(table[arm, "roc_auc" if curve == "roc" else "pr_auc"], abs=1e-9)
        assert (line["low"] <= line["mean"] + 1e-12).all() and (line["mean"] <= line["high"] + 1e-12).all()


def test_operating_points_are_the_table_s(study, evaluation):
    known = looks([*study.settings.arms, BASELINE])
    _, data = curves.roc_pr(evaluation.scores, evaluation.summary, known, "patient")
    table = evaluation.summary.query("level == 'patient'").set_index(["arm", "metric"])["value"]
    points = data[data["what"] != "curve"].set_index(["arm", "curve", "what"])
    at = points.loc[("image", "roc", "threshold for 90 % specificity")]
    assert at["mean"] == table["image", "sensitivity_at_90_specificity"]
    assert 1 - at["x"] == pytest.approx(table["image", "specificity_achieved"])
    counted = evaluation.confusion.query("arm == 'image' and level == 'patient'").iloc[0]
    precision = points.loc[("image", "precision-recall", "probability 0.5"), "mean"]
    assert precision == pytest.approx(counted["tp"] / (counted["tp"] + counted["fp"]))


def test_a_smoothed_calibration_curve_follows_the_truth():
    rng = np.random.default_rng(0)
    truth = pd.Series(rng.uniform(0.02, 0.98, 40_000))
    labels = (pd.Series(rng.random(len(truth))) < truth).astype(int)
    exact = probabilities.smooth(truth, labels, flexible=True)
    assert exact["y"].to_numpy() == pytest.approx(exact["x"].to_numpy(), abs=0.02)
    shifted = probabilities.smooth(truth**2, labels, flexible=True)
    assert shifted["y"].to_numpy() == pytest.approx(np.sqrt(shifted["x"]), abs=0.04)
    assert probabilities.smooth(pd.Series([0.4] * 9), pd.Series([0, 1, 0] * 3), flexible=True).empty


def test_histograms_have_one_scale_and_add_up(study, evaluation):
    _, data = catalogue(study, evaluation)["main"].draw()
    histogram = data[data["panel"] == "histogram"].groupby("arm")["y"].sum()
    assert histogram.to_numpy() == pytest.approx(1)
    figure, shares = catalogue(study, evaluation)["risk"].draw()
    tallest = {axes: max(np.ptp(patch.get_path().vertices[:, 1]) for patch in axes.patches) for axes in figure.axes}
    by_arm = shares.groupby("arm", sort=False)["share"].max()
    assert np.array(list(tallest.values())) / by_arm.to_numpy() == pytest.approx(max(tallest.values()) / by_arm.max())


def test_the_cells_of_a_confusion_matrix_add_up_to_the_patients(study, numbers_of):
    _, data = catalogue(*numbers_of("three seeds"))["confusion"].draw()
    assert data[["tp", "fp", "fn", "tn"]].sum(axis=1).to_numpy() == pytest.approx(study.cohort.n_patients)
    assert data.set_index("arm")["n_runs"].to_dict() == dict.fromkeys(FOUR, 6) | {BASELINE: 2}
    assert set(data["threshold"]) == {"called", "flagged"}
    said = " ".join(texts_of(catalogue(*numbers_of("three seeds"))["confusion"].draw()[0]))
    assert "mean of 6 runs" in said and "mean of 2 runs" in said and "90 % specificity" in said


def test_folds_are_numbered_from_1(study, evaluation):
    _, data = catalogue(study, evaluation)["auc_by_fold"].draw()
    assert set(data["fold"]) == {1, 2}


def test_what_an_arm_is_called_stands_in_every_figure(study, evaluation):
    drawings = catalogue(study, evaluation)
    for name in ("main", "roc_pr", "calibration", "risk", "confusion", "auc_by_fold"):
        shown = " ".join(texts_of(drawings[name].draw()[0])).replace("\n", " ")
        assert "Images alone" in shown and "image " not in f"{shown} ", name
    assert "Adding" in " ".join(texts_of(drawings["contrasts"].draw()[0]))


def test_ties_and_jumps_of_a_roc_curve_by_hand():
    part = pd.DataFrame({"label": [1, 0, 1, 0], "logit": [2.0, 1.0, 1.0, 0.0]})
    mean = curves.average([curves.roc_of(part)], curves._linear_values)
    assert mean["x"].tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert mean["mean"].to_numpy() == pytest.approx([0, 0.5, 1, 1, 1, 1], abs=1e-6)
    recall, precision = curves.precision_of(part)
    assert recall.tolist() == [0.5, 1] and precision == pytest.approx([1, 2 / 3])


def test_dots_per_seed_by_hand():
    rows = [
        {"arm": arm, "level": "patient", "metric": "roc_auc", "repeat": 0, "fold": fold, "seed": seed, "value": value}
        for arm, seed, values in (("a", 0, (0.8, 0.6)), ("a", 1, (0.9, np.nan)), (BASELINE, 0, (0.5, 0.5)))
        for fold, value in enumerate(values)
    ]
    found = forests.seed_differences(pd.DataFrame(rows), "a", BASELINE, "patient")
    assert found.to_dict() == pytest.approx({0: 0.2, 1: 0.4})
    back = forests.seed_differences(pd.DataFrame(rows), BASELINE, "a", "patient")
    assert back.to_dict() == pytest.approx({0: -0.2, 1: -0.4})


def test_the_mean_of_the_dots_is_the_difference(numbers_of):
    _, found = numbers_of("three seeds")
    _, data = forests.contrasts(found.comparisons, found.per_fold, ["a", "b", "c"], "patient", 0.02)
    for _, lines in data.groupby(["first", "second"]):
        seeds = lines.loc[lines["what"] == "seed", "value"]
        whole = lines.loc[lines["what"] == "difference", "value"]
        assert len(seeds) == 3 and seeds.mean() == pytest.approx(whole.iloc[0], abs=1e-12)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"verdict": "better", "e1_low": 0.03, "e1_high": 0.1, "n_seeds": 3}, "better,\nby more than 0.02"),
        ({"verdict": "worse", "e1_low": -0.015, "e1_high": -0.01, "n_seeds": 3}, "worse,\nby less than 0.02"),
        ({"verdict": "better", "e1_low": 0.01, "e1_high": 0.1, "n_seeds": 3}, "better,\nsize unresolved"),
        (
            {"verdict": "better", "e1_low": 0.03, "e1_high": 0.1, "e2_low": 0.01, "e2_high": 0.1},
            "better,\nsize unresolved",
        ),
        ({"verdict": "not assessed", "e1_low": 0.01, "e1_high": 0.1, "n_seeds": 1}, "not assessed\n(1 of 3 seeds)"),
        ({"verdict": "equivalent", "e1_low": 0.0, "e1_high": 0.01, "n_seeds": 3}, "equivalent\n(±0.02)"),
        ({"verdict": "inconclusive", "e1_low": 0.0, "e1_high": 0.01, "n_seeds": 3}, "inconclusive"),
    ],
)
def test_verdicts_in_a_few_words(row, said):
    whole = {"e2_low": row["e1_low"], "e2_high": row["e1_high"], "corrected_p": 0.04, **row}
    assert "\n".join(in_few_words(whole, 0.02)) == said


def test_no_number_of_seeds_helps_a_single_split():
    split = {"verdict": "not assessed", "e1_low": 0.0, "e1_high": 0.1, "corrected_p": np.nan, "n_seeds": 1}
    assert in_few_words(split, 0.02) == ("not assessed", "(one split)")


def test_subgroups_are_compared_at_their_own_level():
    """Rows by image stand against the value by image, and what was too small is named in words instead of a row."""
    known = {"arm": "image", "interaction_p": 0.5, "n_patients": 40.0, "n_positive": 12.0, "low": 0.6, "high": 0.8}
    small = dict.fromkeys(("n_patients", "n_positive", "value", "low", "high"), np.nan)
    found = pd.DataFrame(
        [
            known | {"column": "age", "group": "< 50", "level": "patient", "value": 0.7, "suppressed": False},
            known | {"column": "age", "group": "unknown", "level": "patient", "suppressed": True} | small,
            known | {"column": "view", "group": "CC", "level": "image", "value": 0.61, "suppressed": False},
        ]
    )
    summary = pd.DataFrame(
        [
            {"arm": "image", "level": level, "metric": "roc_auc", "value": value}
            for level, value in (("patient", 0.72), ("image", 0.62))
        ]
    )
    figure, data = forests.subgroups(found, summary, looks(["image"]), "patient")
    assert data["overall"].tolist() == [0.72, 0.62] and data["group"].tolist() == ["< 50", "CC"]
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [(line.get_xdata()[0], *line.get_ydata()) for line in dashed] == [(0.72, -0.5, 0.5), (0.62, 0.5, 1.5)]
    assert "40 (12)" in texts_of(figure)


def test_arms_differ_in_colour_dash_and_marker():
    known = looks([*MANY, BASELINE])
    assert len({(one.colour, str(one.dash)) for one in known.values()}) == len(known)
    assert len({one.marker for one in known.values()}) == len(known)
    four = [known[arm] for arm in FOUR]
    assert len({str(one.dash) for one in four}) == 4
    luminance = [np.dot(matplotlib.colors.to_rgb(one.colour), [0.2126, 0.7152, 0.0722]) for one in known.values()]
    assert max(luminance) < 0.68, "all are readable on white"
    assert look("concat", ["concat"]) == look("concat", MANY)
    assert look("mine", ["mine", "image"]) != look("image", ["mine", "image"])


def test_names_of_arms_elsewhere_start_with_the_first_look():
    assert look("resnet", ["resnet", "vit"]).colour == look("image", ["image"]).colour


def test_a_palette_keeps_areas_exactly(tmp_path):
    rng = np.random.default_rng(0)
    drawn = np.full((200, 200, 3), 255, dtype=np.uint8)
    drawn[50:150, 50:150] = (213, 94, 0)
    drawn[:4] = rng.integers(250, 256, (4, 200, 3))
    (tmp_path / "small.png").write_bytes(compression.small_png(drawn, 300))
    with Image.open(tmp_path / "small.png") as small:
        assert small.mode == "P" and small.getpixel((100, 100)) is not None
        pixels = np.asarray(small.convert("RGB"))
    assert (pixels[50:150, 50:150] == (213, 94, 0)).all() and np.abs(pixels.astype(int) - drawn).max() < 20


def test_paths_are_written_short():
    svg = '<path d="M 1.23456 2 \nL 1.23456 3.999 \nL 5 4 \nL 6 4 \nL 6 4 \nL 7 8 \n" style="x"/>'
    assert compression.small_svg(svg) == '<path d="M1.23 2V4H5H6L7 8" style="x"/>'


def test_captions_say_what_the_numbers_rest_on(study, evaluation):
    captions = {name: drawing.caption for name, drawing in catalogue(study, evaluation).items()}
    n = f"n = {study.cohort.n_patients} patients"
    for name in ("main", "roc_pr", "contrasts", "auc_by_fold", "calibration", "risk", "confusion"):
        assert n in captions[name] and "patient level" in captions[name], name
    for name in ("main", "roc_pr", "contrasts", "auc_by_fold", "calibration"):
        assert "for these fitted models" in captions[name] and "95 %" in captions[name], name
    assert "image level" in captions["loss_accuracy"]
    assert "(a)" in captions["main"] and "(b)" in captions["main"]
    assert not any(word in caption for caption in captions.values() for word in ("E1", "E2", "arm", "cell"))


def of_two_seeds(stored, found):
    """A study of three seeds as it was before the third: no verdict on training again."""
    protocol = stored.settings.protocol.model_copy(update={"seeds": 2})
    fewer = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))
    lines = found.comparisons.assign(n_seeds=2, verdict="not assessed")
    return fewer, dataclasses.replace(found, comparisons=lines, per_fold=found.per_fold.query("seed < 2"))


def test_what_was_not_assessed_says_nothing_of_training_again(study, evaluation, numbers_of):
    """With one seed or two neither figure nor table shows an interval or p of training again (estimands.md)."""
    three = numbers_of("three seeds")
    assert evaluation.comparisons["e2_low"].notna().any() and set(evaluation.comparisons["n_seeds"]) == {1}
    for numbers, several in (((study, evaluation), False), (of_two_seeds(*three), False), (three, True)):
        drawing = catalogue(*numbers)["contrasts"]
        figure, data = drawing.draw()
        texts = " ".join(texts_of(figure))
        assert ("trained again" in texts) == ("trained again" in drawing.caption) == several
        assert ("p, trained\nagain (Holm)" in texts) == several != ("p, these\nmodels (Holm)" in texts)
        assert data["e2_low"].notna().any() == several
        p = numbers[1].comparisons["e2_p_holm" if several else "e1_p_holm"]
        assert data.loc[data["what"] == "difference", "p"].tolist() == p.tolist()
        tables = {table.name: table for table in all_tables(*numbers)}
        shown = tables["comparisons"].shown
        assert "p, these models (Holm)" in shown
        for column in ("95 % CI, trained again", "p, trained again (Holm)"):
            assert (column in shown) == several, column
        assert ("95 % CI of the AUC, trained again" in tables["main"].shown) == several
        assert ("auc_by_estimand" in tables) == ("probabilities" in tables) == several
        about = set(tables["interval_methods"].shown["About"])
        assert ("trained again on such a cohort" in about) == several
        assert "E2" in set(tables["interval_methods"].data["estimand"]), "the files of numbers have it"
        for name in ("comparisons", "main", "interval_methods"):
            assert ("rained again" in tables[name].caption) == (several and name != "interval_methods"), name


def test_figure_and_table_print_a_verdict_in_the_same_words(numbers_of):
    stored, found = numbers_of("three seeds")
    rows = found.comparisons.assign(e1_low=0.03, e1_high=0.1, e2_low=0.025, e2_high=0.11, verdict="better")
    rows.loc[1, "verdict"] = "equivalent"
    numbers = stored, dataclasses.replace(found, comparisons=rows)
    drawing = catalogue(*numbers)["contrasts"]
    table = next(table for table in all_tables(*numbers) if table.name == "comparisons")
    drawn = [text.replace("\n", " ") for text in texts_of(drawing.draw()[0])]
    assert table.shown["Verdict"].tolist()[:2] == ["better, by more than 0.02", "equivalent (±0.02)"]
    assert set(table.shown["Verdict"]) <= set(drawn)
    assert "the size is unresolved" in drawing.caption
    assert "the size is unresolved" not in catalogue(stored, with_verdicts(found, "inconclusive"))["contrasts"].caption


def with_verdicts(found, verdict):
    return dataclasses.replace(found, comparisons=found.comparisons.assign(verdict=verdict))


def test_the_axis_and_the_legend_of_the_contrasts_name_what_is_drawn(numbers_of):
    figure, _ = catalogue(*numbers_of("three seeds"))["contrasts"].draw()
    assert figure.axes[0].get_xlabel() == "Difference in AUC"
    sides = {text.get_text(): text for text in figure.axes[0].texts}
    below, above = sides["← lower AUC"], sides["higher AUC →"]
    assert below.xy == above.xy == (0, 0) and (below.get_ha(), above.get_ha()) == ("right", "left")
    assert "estimate" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_predictions_without_validation_rows_are_not_called_calibrated(study, evaluation):
    lacking = (
        "sensitivity_at_90_specificity",
        "specificity_achieved",
        "specificity_at_90_sensitivity",
        "sensitivity_achieved",
    )
    bare = dataclasses.replace(
        evaluation,
        summary=evaluation.summary[~evaluation.summary["metric"].isin(lacking)],
        reliability=evaluation.reliability.query("stage == 'after'"),
        scores=evaluation.scores.assign(site=None),
    )
    drawings = catalogue(imported(study), bare)
    assert not {"loss_accuracy", "f1_auc", "generalisation_gap"} & set(drawings), "nothing is known of the training"
    for name, drawing in drawings.items():
        figure, _ = drawing.draw()
        shown = " ".join([drawing.caption, *texts_of(figure)])
        assert "alibrated p" not in shown and "Platt" not in shown and "scaling" not in shown, name


def test_few_positives_end_the_axes_of_probabilities_early(study, evaluation):
    rare = {"prob_calibrated": evaluation.scores["prob_calibrated"] / 20}
    lines = evaluation.reliability
    columns = {name: lines[name] / 20 for name in ("mean_prob", "observed", "low", "high")}
    found = dataclasses.replace(
        evaluation, scores=evaluation.scores.assign(**rare), reliability=lines.assign(**columns)
    )
    for name in ("main", "calibration", "risk"):
        figure, _ = catalogue(study, found)[name].draw()
        assert any(axes.get_xlim()[1] < 0.2 for axes in figure.axes), name


@pytest.mark.parametrize("n_statuses", [1, 2, 4, 9])
def test_the_flow_fits_its_canvas_whatever_its_names(n_statuses):
    steps = ("listed", "unreadable or damaged, as the reader says", "missing", "used")
    counts = pd.DataFrame(
        [
            {"step": step, "status": f"a rather long status {number}", "n_images": 12345, "n_patients": 999}
            for step in steps
            for number in range(n_statuses)
        ]
    )
    figure, data = flow(counts, 2400)
    assert overhang(figure) < 1 and data is counts
    assert any("2,400 patients" in text for text in texts_of(figure))


def test_the_flow_says_why_and_how_it_was_tested(study):
    counts = pd.DataFrame(
        [
            ("listed", "A", 9, 4),
            ("listed", "B", 5, 3),
            ("missing", "B", 2, 1),
            ("used", "A", 9, 4),
            ("used", "B", 3, 2),
        ],
        columns=["step", "status", "n_images", "n_patients"],
    )
    said = texts_of(flow(counts, 5, positive=["A"])[0])
    assert {"14 images", "missing: 2 images", "12 images of 5 patients"} <= set(said), "one patient has both statuses"
    figure, _ = flow(counts, 6, positive=["A"], tested=["2-fold cross-validation", "Patients: 3 to test"])
    said = texts_of(figure)
    assert {"14 images of 7 patients", "missing: 2 images of 1 patient", "12 images of 6 patients"} <= set(said)
    assert {"A (positive)", "B (negative)", "Patients: 3 to test"} <= set(said)
    assert how_tested(study)[0] == "2-fold cross-validation by patient"
    for line in figure.axes[0].lines:
        assert np.ptp(line.get_xdata()) == 0 or np.ptp(line.get_ydata()) == 0, "straight lines"


def test_every_figure_has_a_place_in_the_text():
    source = inspect.getsource(document)
    assert [name for name in ORDER if f'"{name}"' not in source] == []


def test_a_font_of_arial_s_metrics_is_taken_and_missing_ones_are_not_named(monkeypatch):
    class Known:
        ttflist = (SimpleNamespace(name="DejaVu Sans"),)

        def addfont(self, path):
            self.ttflist += (SimpleNamespace(name=path),)

    for there, taken in (([], ()), (["Arimo-Regular.ttf"], ("Arimo-Regular.ttf",))):
        fonts.cache_clear()
        monkeypatch.setattr(style, "fontManager", Known())
        monkeypatch.setattr(style, "findSystemFonts", lambda there=there: there)
        monkeypatch.setattr(style, "FONTS", ("Arial", "Arimo-Regular.ttf"))
        assert fonts() == (*taken, "DejaVu Sans")
    fonts.cache_clear()


def test_letters_that_the_font_lacks_are_named_once():
    assert missing_letters(["image", "Mammographie à plat", "µ"]) == ""
    assert missing_letters(["乳腺 image", "乳"]) == "乳腺"


def test_names_that_the_font_cannot_write_are_numbers_that_captions_explain(study, evaluation):
    names = {"image": "乳腺影像", "tabular": "Clinical data"}
    drawn = catalogue(
        dataclasses.replace(study, settings=study.settings.model_copy(update={"names": names})), evaluation
    )
    figure, _ = drawn["roc_pr"].draw()
    place = list(study.settings.arms).index("image") + 1
    assert f"Model {place}" in texts_of(figure) and "Clinical data" in texts_of(figure)
    assert not any("乳" in text for text in texts_of(figure))
    assert f"Model {place}: 乳腺影像." in drawn["roc_pr"].caption


def test_few_patients_have_no_calibration_curve():
    rng = np.random.default_rng(0)
    units = pd.DataFrame({"patient_id": np.arange(40).astype(str), "prob_calibrated": rng.uniform(0.1, 0.9, 40)})
    assert len(probabilities.smoothed(units.assign(label=[1] * 10 + [0] * 30))) > 0
    assert probabilities.smoothed(units.assign(label=[1] * 9 + [0] * 31)).empty


@pytest.mark.parametrize("low", [0.24, 0.2, 0.1, 0.4, 0.52])
def test_ticks_of_narrow_panels_do_not_touch(low):
    """Labels as 0.25, 0.50, 0.75, 1.00 of five panels side by side would run into each other."""
    row = {"column": "age", "level": "patient", "value": 0.6, "suppressed": False, "low": low}
    row |= {"n_patients": 40.0, "n_positive": 12.0}
    lines = pd.DataFrame(
        [
            row | {"arm": arm, "group": group, "high": high}
            for arm in "abcde"
            for group, high in (("A", 0.9), ("B", 0.95))
        ]
    )
    for top in (0.86, 1.0):
        summary = pd.DataFrame([{"arm": arm, "level": "patient", "metric": "roc_auc", "value": 0.7} for arm in "abcde"])
        figure, _ = forests.subgroups(lines.assign(high=top), summary, looks(list("abcde")), "patient")
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for axes in figure.axes for label in axes.get_xticklabels()]
        boxes = sorted((box for box in boxes if box.width), key=lambda box: box.x0)
        assert len(boxes) > 5 and all(one.x1 + 2 < other.x0 for one, other in pairwise(boxes))


def test_long_words_are_cut_where_a_line_ends():
    lines = wrapped("Donaudampfschifffahrtsgesellschaft and more", 15.0, 6).split("\n")
    assert "".join(lines).replace(" ", "") == "Donaudampfschifffahrtsgesellschaftandmore"
    assert all(extent(line, 6) <= 15 for line in lines)


def test_names_above_lines_of_text_begin_at_one_height():
    names = ["Images alone", "Images and clinical data joined by concatenation", "Logistic regression"]
    figure, _ = small_multiples(names, [30.0], below=["mean of 2 runs"] * 3)
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_fontweight() == "bold" and text.get_text()]
    tops = [text.get_window_extent().y1 for text in texts]
    assert len(tops) == 3 and np.ptp(tops) < 0.02 * figure.bbox.height and max(tops) < figure.bbox.height
    assert len({text.get_fontsize() for text in texts}) == 1


def parts_of(figure):
    """(width, height) of a figure on a narrow page, and its parts: x, y, width, height, place, scale."""
    png(figure, "")
    size, *parts = arrangement(figure).split(";")
    return [float(side) for side in size.split()], np.array([part.split() for part in parts], dtype=float)


def test_panels_stand_one_below_the_other_on_a_narrow_page_each_with_the_labels_of_its_row():
    figure, panels = small_multiples(["a", "b", "c"], [30.0], entries=[("line", {})])
    panels[0][0].set_ylabel("Sensitivity")
    (wide, tall), parts = parts_of(figure)
    assert wide < 72 * 89 / 25.4 < 72 * figure.get_size_inches()[0] and tall > 3 * 30 * 72 / 25.4
    legend, *shown = parts
    assert legend[5] == 0 and [part[4] > 0 for part in shown] == [False, False, True, False, True]
    labels = {(part[0], round(part[1] + part[3], 1)) for part in shown[1::2]}
    assert len(labels) == 1 and next(iter(labels))[0] < shown[0][0] + 0.1, "b and c show the labels of a"
    places = [axes.get_position().x0 * 72 * figure.get_size_inches()[0] for (axes,) in panels]
    spines = [part[4] + place - part[0] for part, place in zip(parts[[1, 3, 5]], places, strict=True)]
    assert np.ptp(spines) < 0.1, "spines stand below each other"
    assert np.all(parts[:, 4] + parts[:, 6] * parts[:, 2] <= wide + 0.1) and len(set(parts[[1, 3, 5], 5])) == 3


@pytest.mark.parametrize("name", ["main", "contrasts", "auc_by_fold", "flow"])
def test_no_figure_is_wider_than_a_narrow_page(name, numbers_of):
    figure, _ = catalogue(*numbers_of("three seeds"))[name].draw()
    if name == "flow":
        png(figure, "")
        assert arrangement(figure) == ""
        return
    (wide, tall), parts = parts_of(figure)
    assert wide <= 72 * 89 / 25.4 and parts[:, 6].min() > 0.8 and tall > wide
    assert np.all(parts[:, 4] + parts[:, 6] * parts[:, 2] <= wide + 0.1)
    x, width = parts[:, 0], 72 * figure.get_size_inches()[0]
    assert x.min() < 30 and np.max(x + parts[:, 2]) > 0.95 * width, "nothing at the right is left out"


def test_shares_of_a_confusion_matrix_are_rounded_half_up():
    axes = Figure().subplots()
    matrix(axes, pd.DataFrame({"tp": [70.0], "fn": [10.0], "fp": [9.0], "tn": [111.0]}), as_text=whole)
    assert [text.get_text() for text in axes.texts] == ["70\n(88 %)", "10\n(13 %)", "9\n(8 %)", "111\n(93 %)"]
