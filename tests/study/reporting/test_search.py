"""What reports say of a search of hyper-parameters: true for nested, flat, tuned and unfinished ones."""

import dataclasses
import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from study.design.search_results import WHOLE, ChosenSettings, SearchResult
from study.design.search_space import Hole, parsed
from study.design.study_file import Arm, Search, Tuned
from study.evaluation.evaluation import Evaluation, evaluate
from study.records.search_archive import read_searched, write_searched
from study.records.stored_study import load_study
from study.reporting.document import places, report, supplement
from study.reporting.facts import search_facts
from study.reporting.facts.bibliography import cited_keys, needed_keys, works
from study.reporting.facts.sentences import configs
from study.reporting.figures import search as figures
from study.reporting.figures.catalogue import ORDER, catalogue
from study.reporting.figures.scales import scale
from study.reporting.figures.style import looks
from study.reporting.manifest import Options
from study.reporting.methods.chapter import methods
from study.reporting.numbers import numbers
from study.reporting.pack import gather_content
from study.reporting.tables import all_tables
from study.reporting.tables.markup import to_csv
from study.reporting.tables.search import cost_table
from study.reporting.text.sections import limitations

SPACE = {
    "model.dropout": {"range": [0.3, 0.7]},
    "model.fine_tuned_blocks": {"int": [0, 4]},
    "train.lr": {"log": [1e-6, 1e-3]},
    "train.head_lr": {"log": [1e-4, 1e-2]},
    "model.tabular_hidden": {"choice": [[64, 32], [32], [64, 64, 32]]},
}
REFERENCE = {
    "model.dropout": 0.5,
    "model.fine_tuned_blocks": 2,
    "train.lr": 5e-5,
    "train.head_lr": 1e-3,
    "model.tabular_hidden": "[64, 32]",
}
IMAGES = ("model.fine_tuned_blocks", "train.lr")
ARMS = ("image", "tabular", "concat", "attention")
OPTIMISTIC = "optimistic: hyper-parameters were chosen on"
SEARCH_TABLES = ["search_chosen", "search_agreement", "search_nested", "search_cost"]
SEARCH_FIGURES = {"search_history", "search_importance", "search_slice", "search_effort"}


def searched(
    arms=ARMS,
    places=tuple((0, fold) for fold in range(5)),
    *,
    n_trials=20,
    n_inner=3,
    whole=True,
    flat=False,
    keys=tuple(SPACE),
    lost=(),
    n_workers=1,
):
    """Return a made-up search with some trials pruned and one diverged in each fold; `lost` (arm, fold) has no winner.

    Args:
        arms, places: where searches were made; places are (repeat, fold).
        n_trials, n_inner: trials of a search and fits of a trial.
        whole: a search on the whole cohort too.
        flat: one search an arm, `places` being what its fits were trained in.
        keys: of the space.
        lost: searches that are not finished: 3 trials, no winner.
        n_workers: processes.
    """
    rng = np.random.default_rng(5)
    where = [(0, WHOLE)] if flat else [*places, *([(0, WHOLE)] if whole else [])]
    n_fits = len(places) if flat else n_inner
    rows, chosen, importances = [], [], []
    for arm in arms:
        mine = [
            key
            for key in keys
            if not (arm == "tabular" and key in IMAGES) and not (arm == "image" and key == "model.tabular_hidden")
        ]
        for repeat, fold in where:
            n = 3 if (arm, fold) in lost else n_trials
            found = [_trial(rng, arm, repeat, fold, number, mine, keys, n_fits, n_workers) for number in range(n)]
            rows += found
            complete = [row for row in found if row["state"] == "complete"]
            if (arm, fold) not in lost:
                chosen.append(_winner(max(complete, key=lambda row: row["value"]), mine, flat))
                shares = rng.dirichlet(np.ones(len(mine)))
                importances += [
                    {"arm": arm, "repeat": repeat, "fold": fold, "key": key, "importance": float(share)}
                    for key, share in zip(mine, shares, strict=True)
                ]
    columns = ["arm", "repeat", "fold", "key", "importance"]
    return SearchResult(pd.DataFrame(rows), tuple(chosen), pd.DataFrame(importances, columns=columns))


def _trial(rng, arm, repeat, fold, number, mine, keys, n_fits, n_workers):
    values = dict(REFERENCE) if number == 0 else _drawn(rng)
    best = rng.integers(3, 30, n_fits)
    good = 0.8 - 0.6 * abs(values["model.dropout"] - 0.45) - 0.03 * abs(np.log10(values["train.head_lr"]) + 2.8)
    scores = (
        good + rng.normal(0, 0.03, n_fits) + 0.01 * ARMS.index(arm)
        if arm in ARMS
        else good + rng.normal(0, 0.03, n_fits)
    )
    state = "diverged" if number == 7 else "pruned" if number > 4 and number % 3 == 0 else "complete"
    epochs = np.full(n_fits, 5) if state != "complete" else best + 10
    value = float("nan") if state == "diverged" else float(scores.mean()) - (0.06 if state == "pruned" else 0)
    return {
        "arm": arm,
        "repeat": repeat,
        "fold": fold,
        "number": number + 2,
        "order": number,
        "state": state,
        "value": value,
        "scores": scores.tolist(),
        "best_epochs": np.minimum(best, epochs).tolist(),
        "epochs": epochs.tolist(),
        "max_epochs": 40,
        "n_trainable": 1000 + 10 * number,
        "seconds": 12.5,
        "wave": number // 4,
        "wave_seconds": 20.0 + number // 4,
        "worker": f"w{fold % n_workers}",
        "default": number == 0,
        **{f"param.{key}": values[key] if key in mine else None for key in keys},
    }


def _drawn(rng):
    return {
        "model.dropout": float(rng.uniform(0.3, 0.7)),
        "model.fine_tuned_blocks": int(rng.integers(0, 5)),
        "train.lr": float(10 ** rng.uniform(-6, -3)),
        "train.head_lr": float(10 ** rng.uniform(-4, -2)),
        "model.tabular_hidden": str(rng.choice(["[64, 32]", "[32]", "[64, 64, 32]"])),
    }


def _winner(row, mine, flat):
    values = {key: row[f"param.{key}"] for key in mine}
    values = {key: json.loads(value) if isinstance(value, str) else value for key, value in values.items()}
    epochs = None if flat else int(np.median(row["best_epochs"]))
    return ChosenSettings(
        row["arm"],
        row["repeat"],
        row["fold"],
        row["number"],
        f"{row['arm']}.t{row['number']}",
        row["value"],
        tuple(row["scores"]),
        tuple(row["best_epochs"]),
        epochs,
        row["n_trainable"],
        row["default"],
        values,
    )


def with_search(stored, found, **rules):
    """Return the study as if it had made this search."""
    settings = stored.settings.model_copy(update={"search": Search(space=SPACE, trials=20, **rules)})
    return dataclasses.replace(stored, settings=settings, searched=found)


def nested(stored, found=None, **rules):
    """Return the finished study as one whose settings were searched inside every fold.

    With two folds the training patients of one are the test patients of the other, whose predictions serve as inner
    ones.
    """
    inside = [_nested_fold(fold) for fold in stored.folds.folds]
    whole = _thirds(stored.cohort.images["patient_id"].unique())
    folds = stored.folds.changed(folds=inside, nested=True, whole=whole)
    tests = stored.predictions[stored.predictions["part"] == "test"]
    inner = tests.assign(fold=1 - tests["fold"], part="validation")
    values = [name for name in stored.history if name.startswith("val_")]
    history = stored.history.assign(**dict.fromkeys([*values, "monitored"], float("nan")))
    places = tuple(folds.splits)
    study = dataclasses.replace(
        stored, folds=folds, history=history, predictions=pd.concat([tests, inner], ignore_index=True)
    )
    return with_search(study, searched(places=places) if found is None else found, **rules)


def _nested_fold(fold):
    train = sorted([*fold.train, *fold.validation])
    return fold.changed(train=train, validation=[], inner=_thirds(train))


def _thirds(patients):
    return [list(patients[start::3]) for start in range(3)]


def flat(stored, **rules):
    places = tuple(stored.folds.splits)
    notice = f"{stored.cohort.notice}; {OPTIMISTIC} these patients"
    study = dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, notice=notice))
    return with_search(study, searched(places=places, flat=True), mode="flat", **rules)


@pytest.fixture(scope="module")
def plain(finished_study):
    return load_study(finished_study.folder)


@pytest.fixture(scope="module")
def plain_numbers(plain):
    return evaluate(plain, n_replicates=50)


@pytest.fixture(scope="module")
def evaluated(plain):
    """The nested study with its numbers."""
    study = nested(plain)
    return study, evaluate(study, n_replicates=50)


@pytest.fixture(scope="module")
def documents(evaluated):
    return documents_of(*evaluated)


def documents_of(study, evaluation):
    """Return both documents, the methods and the checklists."""
    content = gather_content(study, evaluation, Options(figures=False))
    frames = {name: frame.set_index("item") for name, frame in content.checklists.items()}
    lists = {name: frame["where"] + ": " + frame["answer"] for name, frame in frames.items()}
    return {
        "report": report(content),
        "supplement": supplement(content),
        "methods": "\n".join(content.methods),
        **lists,
    }


def named(study, evaluation):
    return {table.name: table for table in all_tables(study, evaluation)}


@pytest.fixture(scope="module")
def tables(evaluated):
    """The tables of the nested study, by name."""
    return named(*evaluated)


def test_the_winners_are_listed_with_that_of_the_whole_cohort_last(evaluated, tables):
    table = tables["search_chosen"]
    assert len(table.data) == 4 * 5 == len(table.shown)
    mine = table.shown[table.shown["Model"] == "Images + clinical data, concatenated"]
    assert mine["Fold"].tolist() == ["1", "2", "1", "2", "whole cohort"] and mine["Repeat"].tolist()[-1] == "n/a"
    winner = evaluated[0].searched.winner("concat", 1, 0)
    row = table.data[(table.data["arm"] == "concat") & (table.data["repeat"] == 1) & (table.data["fold"] == "0")].iloc[
        0
    ]
    assert (row["value"], row["epochs"], row["trial"]) == (winner.value, winner.epochs, winner.number)
    assert row["model.dropout"] == winner.set["model.dropout"] and row["best_epochs"] == str(list(winner.best_epochs))
    tabular = table.shown[table.shown["Model"] == "Clinical data alone"]
    assert set(tabular["Learning rate, fine-tuned stages"]) == {"n/a"} and "n/a" not in set(tabular["Dropout"])
    assert "is no estimate of performance" in table.caption


def test_the_agreement_counts_the_folds_alone(evaluated, tables):
    study, _ = evaluated
    table = tables["search_agreement"]
    row = table.data[(table.data["arm"] == "image") & (table.data["key"] == "model.fine_tuned_blocks")].iloc[0]
    chosen = [
        one.set["model.fine_tuned_blocks"] for one in study.searched.chosen if one.arm == "image" and one.fold != WHOLE
    ]
    most, n = Counter(chosen).most_common()[0]
    assert row["n_folds"] == 4 and row["n_most_frequent"] == n and (n == 1 or row["most_frequent"] == str(most))
    assert row["range"] in (f"{min(chosen)} to {max(chosen)}", str(min(chosen)))
    assert row["whole_cohort"] == str(study.searched.winner("image", 0, WHOLE).set["model.fine_tuned_blocks"])
    assert not ((table.data["arm"] == "tabular") & (table.data["key"] == "train.lr")).any()


def test_the_cost_counts_every_wave_once(evaluated, tables):
    study, _ = evaluated
    data, trials = tables["search_cost"].data.set_index("arm"), study.searched.trials
    total = data.loc["all arms"]
    assert total["trials"] == 400 == data.loc[list(ARMS), "trials"].sum() and total["diverged"] == 20
    assert total["fits"] == 1200 and total["fit_seconds"] == 400 * 12.5
    assert total["wall_seconds"] == 20 + 21 + 22 + 23 + 24  # five waves, which all searches shared
    pruned = trials[trials["state"] == "pruned"]
    assert total["epochs_saved"] == 35 * 3 * len(pruned) and data.loc["image", "wall_seconds"] != total["wall_seconds"]
    assert total["epochs"] == sum(map(sum, trials["epochs"]))


def test_several_processes_have_waves_of_their_own(plain):
    places = tuple(plain.folds.splits)
    study = nested(plain, searched(places=places, n_workers=2))
    table = cost_table(study)
    assert table.data.iloc[-1]["wall_seconds"] == 2 * 110 and "added over 2 processes" in table.caption


def test_what_chose_the_winners_stands_beside_what_they_reached(evaluated, tables):
    study, evaluation = evaluated
    row = tables["search_nested"].data.set_index("arm").loc["attention"]
    summary = evaluation.summary.query("arm == 'attention' and level == 'patient' and metric == 'roc_auc'").iloc[0]
    values = [one.value for one in study.searched.chosen if one.arm == "attention" and one.fold != WHOLE]
    assert row["roc_auc"] == summary["value"] and row["low"] == summary["low"]
    assert row["inner_roc_auc"] == pytest.approx(np.mean(values)) and row["optimism"] == pytest.approx(
        np.mean(values) - row["roc_auc"]
    )
    assert row["reference_inner_roc_auc"] < row["expected_best"] < row["inner_roc_auc"] and row["n_trials"] == 20


def test_the_history_and_the_effort_are_those_of_the_folds():
    found = searched()
    data = search_facts.history(found.trials)
    assert (data["fold"] != WHOLE).all() and len(data) == 4 * 5 * 20
    one = data[(data["arm"] == "concat") & (data["fold"] == 2)]
    best = np.maximum.accumulate(one["value"].where(one["state"] == "complete", -1))
    assert one["best_so_far"].tolist() == best.tolist()
    last = data[(data["arm"] == "concat") & (data["trial"] == 20)]
    assert last["mean_best_so_far"].to_numpy() == pytest.approx(last["best_so_far"].mean())
    reached = search_facts.effort(found.trials)
    assert reached["n_searches"].eq(5).all() and reached.groupby("arm")["n"].max().eq(20).all()


def test_effort_is_equal_and_a_mean_ends_where_a_fold_does():
    found = searched(lost=(("image", 1),))
    assert search_facts.effort(found.trials)["n"].max() == 3 == search_facts.n_trials(found.trials)
    mine = search_facts.history(found.trials).query("arm == 'image'")
    assert mine.loc[mine["mean_best_so_far"].notna(), "trial"].max() == 3
    assert search_facts.history(found.trials).query("arm == 'concat' and trial == 20")["mean_best_so_far"].notna().all()


SIX = (*ARMS, "late_fusion", "a_name_of_20_letters")
SHAPES = {
    "one arm, one key": (("concat",), 1, {"n_trials": 6}),
    "one arm, three keys": (("concat",), 3, {}),
    "four arms, five keys": (ARMS, 5, {}),
    "six arms, four keys": (SIX, 4, {}),
    "twelve arms": (tuple(f"arm{number}" for number in range(12)), 3, {"n_trials": 4}),
    "flat": (ARMS, 5, {"flat": True}),
    "one trial": (ARMS, 3, {"n_trials": 1}),
    "begun": (ARMS, 5, {"lost": tuple((arm, fold) for arm in ARMS for fold in range(-1, 5))}),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_figures_fit_their_canvas(shape):
    arms, n_keys, options = SHAPES[shape]
    found = searched(arms, keys=tuple(SPACE)[:n_keys], **options)
    places = pd.DataFrame([vars(one) for one in found.chosen], columns=["arm", "repeat", "fold", "number"])
    known, value = looks([*arms, "logistic"]), "Inner validation AUC"
    drawn = [
        figures.history(search_facts.history(found.trials), known, value),
        figures.slices(found.trials, places, known, {hole.key: hole for hole in parsed(SPACE)}, value),
        figures.effort(search_facts.effort(found.trials), known, value),
    ]
    drawn += [figures.importance(found.importances, known)] if len(found.importances) else []
    for figure, data in drawn:
        figure.draw_without_rendering()
        box, (wide, tall) = figure.get_tightbbox(), figure.get_size_inches()
        assert len(data) and 72 * max(-box.x0, -box.y0, box.x1 - wide, box.y1 - tall) < 1
        assert tall * 25.4 < 247, "no taller than a journal's page"


def test_the_catalogue_of_a_nested_study(evaluated):
    drawings = catalogue(*evaluated)
    assert set(drawings) >= SEARCH_FIGURES | {"loss_accuracy", "f1_auc"} and "generalisation_gap" not in drawings
    assert list(drawings) == [name for name in ORDER if name in drawings]
    for name in (*SEARCH_FIGURES, "loss_accuracy", "f1_auc"):
        figure, data = drawings[name].draw()
        caption = drawings[name].caption
        assert len(data) and "nan" not in caption and "  " not in caption and ".." not in caption, name
        assert ("inner validation AUC" in caption) == (name in SEARCH_FIGURES), name
        labels = [axes.get_ylabel() for axes in figure.axes] + [figure.get_supylabel()]
        if name in SEARCH_FIGURES - {"search_importance"}:
            assert any("nner validation AUC" in label for label in labels), name
            assert "no estimate of performance" in caption


def test_curves_of_refits_show_training_alone(evaluated, plain, plain_numbers):
    (figure, data), caption = (drawing := catalogue(*evaluated)["loss_accuracy"]).draw(), drawing.caption
    assert set(data["measure"]) == {"train_loss", "train_accuracy"}
    assert [text.get_text() for text in figure.legends[0].texts] == ["training"]
    assert "training rows alone" in caption and "validation." not in caption and "stopped early" not in caption
    figure, data = catalogue(plain, plain_numbers)["loss_accuracy"].draw()
    assert len(figure.legends[0].texts) == 2 and "val_loss" in set(data["measure"])


FALSE_OF_NESTED = (
    "validation patients",
    "20 % of the patients",
    "set aside as validation part",
    "for early stopping",
    "validation rows of the fold",
    "No hyper-parameter was searched",
    "no hyperparameter was searched",
    "the choice of the epoch is unreliable",
    "training and validation;",
    "best epoch 2",
    "chosen on validation",
)


def test_nothing_that_a_nested_study_does_not_do_is_said_of_it(documents, evaluated):
    content = documents["report"] + documents["supplement"] + documents["methods"]
    captions = "\n".join(drawing.caption for drawing in catalogue(*evaluated).values())
    for phrase in FALSE_OF_NESTED:
        assert phrase not in content and phrase not in captions, phrase


def test_the_methods_of_a_nested_search(documents):
    text = documents["methods"]
    for phrase in (
        "No validation part was set aside",
        "into 3 inner folds",
        "In the search, on inner folds, training lasted 2 epochs",
        "Refits on whole training parts lasted the median",
        "Searched were `model.dropout` (0.3 to 0.7)",
        "`train.lr` (1e-06 to 0.001, logarithmic)",
        "Every search had 20 trials, the same for all models",
        "below the median of the finished trials",
        "each predicted by the chosen trial's inner fit that had not seen the patient",
        "Both were applied to the refit's test patients",
        "calibrated on predictions from the same inner folds",
        "Optuna [@akiba2019] 5",
        "The same search on the whole cohort",
        "values given here and above are those of the reference configuration",
    ):
        assert phrase in text, phrase
    assert "  " not in text and ".." not in text and " ." not in text


@pytest.mark.parametrize(
    ("rules", "there"),
    [
        ({"pruner": "halving"}, "asynchronous successive halving over epochs [@li2020]"),
        ({"pruner": "none"}, "No trial was given up before its end"),
        ({"select": "one-se"}, "fewest trainable parameters among those within one standard error"),
        ({"mode": "flat"}, "Validation patients of one fold are test patients of others"),
        ({"mode": "flat"}, "for the choice of hyper-parameters, the choice of the epoch, calibration and thresholds"),
    ],
)
def test_the_rules_of_a_search_in_words(plain, rules, there):
    study = (
        flat(plain, **{k: v for k, v in rules.items() if k != "mode"}) if rules.get("mode") else nested(plain, **rules)
    )
    text = "\n".join(methods(study, Evaluation()))
    assert there in text and set(cited_keys([text])) <= set(works())
    assert {"akiba2019", "bergstra2011", "varma2006", "cawley2010", "dodge2019"} <= set(cited_keys([text]))


def test_no_whole_cohort_where_none_was_searched(plain):
    places = tuple(plain.folds.splits)
    study = nested(plain, searched(places=places, whole=False), whole=False)
    assert "whole cohort" not in "\n".join(methods(study, Evaluation()))
    tables = named(study, Evaluation())
    for name in ("search_chosen", "search_agreement"):
        assert "hole cohort" not in tables[name].caption and "Whole cohort" not in tables[name].shown


def test_the_documents_of_a_nested_study(documents):
    report, supplement = documents["report"], documents["supplement"]
    assert (
        report.count("Hyper-parameters were searched anew inside every training part (20 trials for each model)") == 1
    )
    chapters = [line for line in supplement.splitlines() if line.startswith("## ")]
    assert chapters[1:4] == ["## Methods", "## Hyper-parameter search", "## Performance"]
    chapter = supplement.partition("## Hyper-parameter search")[2].partition("## Performance")[0]
    assert "Of 400 trials in 20 searches, 280 were complete, 100 were stopped early and 20 diverged" in chapter
    assert all(f". {title}**" in chapter for title in ("Chosen hyper-parameters", "Cost of the search"))
    assert "Every fold has its own hyper-parameters" in supplement
    assert "Unfinished" not in chapter


def test_checklists_tell_of_the_search(documents, plain, plain_numbers):
    claim, tripod = documents["CLAIM (2024)"], documents["TRIPOD+AI (2024)"]
    assert "Table S" in claim["26"] and "median of its inner best epochs" in claim["26"]
    assert "neither the search nor training saw" in claim["32"]
    assert "search inside every training part" in tripod["12c"]
    claim = documents_of(flat(plain), plain_numbers)["CLAIM (2024)"]
    assert "(optimistic)" in claim["26"] and "(optimistic)" in claim["32"]


@pytest.mark.parametrize("mode", [nested, flat])
def test_every_item_is_answered_after_a_search(plain, plain_numbers, mode):
    content = gather_content(mode(plain), plain_numbers, Options())
    there = {*places(content).values()}
    for title, frame in content.checklists.items():
        said = (frame["answer"] != "") | (frame["to_write"] != "")
        assert said.all() and "[" not in " ".join(frame["answer"]), title
        assert {place for where in frame["where"] for place in where.split("; ") if place} <= there, title


def test_the_folds_table_shows_inner_folds(tables):
    table = tables["folds"]
    assert list(table.shown.columns) == ["Repeat", "Fold", "Train", "Inner folds of train", "Test"]
    assert table.shown["Inner folds of train"].str.startswith("3 of 5 to 6 (").all()
    inner = table.data[table.data["part"].str.startswith("inner")]
    assert inner.groupby(["repeat", "fold"])["n_patients"].sum().eq(16).all() and "validation" not in set(
        table.data["part"]
    )


def test_settings_say_what_was_searched(plain, tables):
    shown = tables["settings"].shown.set_index("Key")["Searched"]
    assert (
        shown["model.dropout"] == "0.3 to 0.7"
        and shown["train.lr"] == "1e-06 to 0.001, logarithmic"
        and shown["train.clip_norm"] == ""
    )
    study = flat(plain)
    winner = study.searched.winner("concat", 0, WHOLE).set["model.dropout"]
    assert configs(study)["concat"].model.dropout == winner
    assert (
        f"{winner:g} (Images + clinical data, concatenated)"
        in named(study, Evaluation())["settings"].shown.set_index("Key").loc["model.dropout", "Other models"]
    )


def test_a_flat_search_is_called_optimistic_and_by_another_name(plain, plain_numbers):
    study = flat(plain)
    written, tables = documents_of(study, plain_numbers), named(study, plain_numbers)
    assert set(SEARCH_TABLES) & set(tables) == {"search_chosen", "search_cost"}
    assert set(tables["search_chosen"].shown["Fold"]) == {"all folds"} and "Epochs" not in tables["search_chosen"].shown
    drawings = catalogue(study, plain_numbers)
    assert set(drawings) >= SEARCH_FIGURES | {"generalisation_gap"}
    for name in SEARCH_FIGURES:
        drawings[name].draw()
        assert "nner validation" not in drawings[name].caption, name
    assert (
        "nner validation" not in written["supplement"] and "Performance is therefore optimistic" in written["methods"]
    )
    points = written["report"].partition("## Limitations")[2]
    assert points.strip().startswith("- Hyper-parameters were chosen on these patients")
    assert "Values of `model.dropout`" in written["methods"] and "those that the search chose" in written["methods"]
    assert "a search of 20 trials on validation patients of the same splits" in written["report"]


def tuned(plain, notice="", cohort=None):
    settings = plain.settings.model_copy(
        update={
            "tuned": Tuned(
                study="earlier",
                cohort=cohort or plain.cohort.name,
                cohort_digest="0",
                arms=("tabular",),
                patients=("a", "b"),
            )
        }
    )
    changed = dataclasses.replace(plain.cohort, notice="; ".join(filter(None, (plain.cohort.notice, notice))))
    return dataclasses.replace(plain, settings=settings, cohort=changed)


@pytest.mark.parametrize(
    ("options", "there"),
    [
        ({}, "No patient of this study had a part in that search"),
        ({"cohort": "another"}, "whether patients of this study are in that cohort too"),
        ({"notice": f"{OPTIMISTIC} these patients"}, "Patients of this study had a part in that search"),
        ({"notice": f"{OPTIMISTIC} 3 of the 32 patients"}, "3 of the 32 patients of this study had a part"),
    ],
)
def test_settings_of_an_earlier_search(plain, options, there):
    study = tuned(plain, **options)
    text = "\n".join(methods(study, Evaluation()))
    assert (
        there in text
        and "fixed before this run by a search on the cohort" in text
        and "(2 patients; study earlier)" in text
    )
    assert "No hyper-parameter was searched" not in text and "**Hyper-parameter search.**" not in text
    optimistic = "notice" in options
    assert ("performance is optimistic" in text) == optimistic
    limits = limitations(study, Evaluation())
    assert any("in an earlier search. Performance is therefore optimistic" in point for point in limits) == optimistic


def begun(found, n):
    """The same search after a few trials of each, without a winner."""
    return SearchResult(found.trials[found.trials["order"] < n], (), found.importances.iloc[:0])


UNFINISHED = {
    "no trial": lambda _: None,
    "an empty table": lambda found: begun(found, 0),
    "one trial of each": lambda found: begun(found, 1),
    "a few trials": lambda found: begun(found, 9),
    "one arm alone": lambda found: dataclasses.replace(begun(found, 9), trials=found.trials.query("arm == 'concat'")),
    "some winners": lambda found: dataclasses.replace(found, chosen=found.chosen[::2]),
    "nothing but divergence": lambda found: dataclasses.replace(
        begun(found, 9), trials=found.trials.assign(state="diverged", value=float("nan"))
    ),
    "the whole cohort alone": lambda found: dataclasses.replace(
        begun(found, 9), trials=found.trials[found.trials["fold"] == WHOLE]
    ),
}


@pytest.mark.parametrize(
    ("state", "mode"),
    [
        *((state, "nested") for state in UNFINISHED),
        ("no trial", "flat"),
        ("a few trials", "flat"),
        ("nothing but divergence", "flat"),
    ],
)
def test_an_unfinished_search_is_reported_as_far_as_it_has_come(state, mode, plain):
    study = nested(plain) if mode == "nested" else flat(plain)
    study = dataclasses.replace(
        study,
        searched=UNFINISHED[state](study.searched),
        predictions=study.predictions.iloc[:0],
        records={},
        history=study.history.iloc[:0],
    )
    evaluation = evaluate(study, n_replicates=50)
    text = documents_of(study, evaluation)["supplement"]
    assert "Unfinished" in text.partition("## Hyper-parameter search")[2] and not re.search(r"\bnan\b|None|inf\b", text)
    for name, drawing in catalogue(study, evaluation).items():
        if name in SEARCH_FIGURES:
            drawing.draw()[0].draw_without_rendering()


def test_what_was_written_and_read_back_gives_the_same(evaluated, tmp_path):
    study, evaluation = evaluated
    write_searched(tmp_path, study.searched)
    again = dataclasses.replace(study, searched=read_searched(tmp_path))
    before, after = named(study, evaluation), named(again, evaluation)
    for name in SEARCH_TABLES:
        pd.testing.assert_frame_equal(before[name].shown, after[name].shown)
        assert to_csv(before[name], "") == to_csv(after[name], "")
    figure, _ = catalogue(again, evaluation)["search_slice"].draw()
    figure.draw_without_rendering()


def test_numbers_of_a_search_may_be_cited(evaluated, tables):
    found = numbers(*evaluated)
    row = tables["search_nested"].data.set_index("arm").loc["concat"]
    assert found["selection.concat"]["value"] == pytest.approx(row["inner_roc_auc"])
    assert found["selection.concat.optimism"]["value"] == pytest.approx(row["optimism"])
    assert found["n.trials"]["value"] == 400 and "no estimate of performance" in found["selection.concat"]["about"]


def test_a_plain_study_says_nothing_of_a_search(plain, plain_numbers):
    written, tables = documents_of(plain, plain_numbers), named(plain, plain_numbers)
    assert not [name for name in tables if "search" in name] and "Searched" not in tables["settings"].shown
    assert "## Hyper-parameter search" not in written["supplement"] and "inner" not in written["supplement"].lower()
    assert "No hyper-parameter was searched in this run" in written["methods"] and "akiba2019" not in written["methods"]
    assert not set(catalogue(plain, plain_numbers)) & SEARCH_FIGURES and "akiba2019" not in needed_keys(plain)
    assert not [key for key in numbers(plain, plain_numbers) if key.startswith(("selection", "n.trials", "n.searches"))]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"model.dropout": {"range": [0.3, 0.7]}}, "`model.dropout` (0.3 to 0.7)"),
        ({"model": {"fine_tuned_blocks": {"int": [0, 4]}}}, "`model.fine_tuned_blocks` (0 to 4, whole numbers)"),
        ({"train.lr": {"log": [1e-6, 1e-3]}}, "`train.lr` (1e-06 to 0.001, logarithmic)"),
        ({"model.tabular_hidden": {"choice": [[64, 32], [32]]}}, "`model.tabular_hidden` (64, 32 / 32)"),
    ],
)
def test_a_declared_space_in_words(space, expected):
    assert [search_facts.hole_text(hole) for hole in parsed(space)] == [expected]


def test_settings_come_in_the_order_of_the_space(evaluated):
    study = evaluated[0]
    columns = [f"param.{key}" for key in reversed(SPACE)]
    trials = study.searched.trials[[*(c for c in study.searched.trials if c not in columns), *columns]]
    other = dataclasses.replace(study, searched=dataclasses.replace(study.searched, trials=trials))
    assert search_facts.keys_of(other) == list(SPACE)
    labels = [
        axes.get_xlabel().replace("\n", " ") for axes in catalogue(other, evaluated[1])["search_slice"].draw()[0].axes
    ]
    assert next(text for text in labels if text) == "Dropout"


@pytest.mark.parametrize(
    ("values", "hole", "expected"),
    [
        ([3e-4, 8e-4], Hole("train.lr", "log", (2e-4, 8e-4)), ["0.0002", "0.0004", "0.0008"]),
        ([1.0, 3.0], Hole("model.fine_tuned_blocks", "int", (0, 4)), ["0", "1", "2", "3", "4"]),
        ([32.0], Hole("train.batch_size", "choice", (32, 16)), ["32", "16"]),
        (["[64, 32]", None], Hole("model.tabular_hidden", "choice", ([32], [64, 32])), ["32", "64, 32"]),
        ([True, False], None, ["yes", "no"]),
        (["best"], None, ["best"]),
    ],
)
def test_an_axis_shows_the_declared_range(values, hole, expected):
    axis = scale(pd.Series(values, dtype=object), hole)
    axes = Figure().subplots()
    axis.apply(axes, 30.0, lowest=True)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == expected
    low, high = axes.get_xlim()
    mine = pd.DataFrame({"parameter": [v for v in values if v is not None], "trial": 3})
    assert axis.at(mine).between(low, high).all()


def test_long_numbers_of_a_search_are_rounded_in_prose(plain):
    arms = {"one": Arm(question="?", set={"model.inputs": ["tabular"], "model.dropout": 0.3061383001148484})}
    study = dataclasses.replace(plain, settings=plain.settings.model_copy(update={"arms": arms}))
    assert "`model.dropout` = 0.306138)" in "\n".join(methods(study, Evaluation()))
