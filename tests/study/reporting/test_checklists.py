import dataclasses

import pandas as pd

from study.design.study_file import load
from study.evaluation.evaluation import Evaluation
from study.records.environment import Environment, Imported
from study.reporting.checklists.forms import REFERENCE, claim, places, to_markdown, tripod
from study.reporting.facts.prose import FILL

ALWAYS = [
    "3a",
    "3b",
    "3c",
    "4",
    "6a",
    "6c",
    "8b",
    "8c",
    "9c",
    "17",
    "18a",
    "18b",
    "18c",
    "18d",
    "19",
    "25",
    "27a",
    "27b",
    "27c",
]
STATUSES = {"reported", "partly", "not applicable", FILL}
HEADINGS = ["Answer", "Cohort", "Performance", "Differences between models", "Calibration", "Subgroups", "Limitations"]
MORE = ["Protocol", "Errors", "Operating points", "Training", "Provenance", "Checklists"]
PACK = places(
    {"report.md": HEADINGS, "supplement.md": [*HEADINGS, *MORE]},
    ["table_1", "main", "flow", "folds", "comparisons", "operating_points", "subgroups", "settings", "per_fold"],
    ["flow", "main", "roc_pr", "contrasts", "calibration", "subgroups"],
    ["methods.md", "numbers.json"],
)


def with_sets(stored, *sets):
    return dataclasses.replace(stored, settings=load("tiny", None, ["protocol.repeats=2", *sets]))


def imported(stored):
    rows = stored.predictions[stored.predictions["part"] == "test"]
    return dataclasses.replace(
        stored,
        environment=Environment(imported=Imported(), mmbc="0.1.0"),
        predictions=rows,
        history=stored.history.iloc[:0],
    )


def status(frame, item):
    return frame.set_index("item").loc[item, "status"]


def where(frame, item):
    return frame.set_index("item").loc[item, "where"]


def test_items_are_those_of_the_published_list(real_data):
    published = pd.read_csv(real_data.parent / "reference" / "tripod_ai_2024_items.csv", dtype=str)
    packaged = pd.read_csv(REFERENCE / "tripod_ai_2024.csv", dtype=str)
    columns = ["item", "section", "topic"]
    pd.testing.assert_frame_equal(published[columns], packaged[columns])


def test_every_item_is_there_once(evaluated):
    first, second = tripod(*evaluated, PACK), claim(*evaluated, PACK)
    assert len(first) == 52 and first["item"].is_unique
    assert list(first) == ["item", "section", "topic", "asks_for", "status", "where"]
    assert list(second["item"]) == [str(n) for n in range(1, 45)]
    assert list(second) == ["item", "section", "topic", "status", "where"]
    for frame in (first, second):
        assert set(frame["status"]) <= STATUSES and not frame.isna().any(axis=None)
        assert (frame.loc[frame["status"] == FILL, "where"] == "").all()
        assert (frame.loc[frame["status"] != FILL, "where"] != "").all()


def test_what_no_record_knows_is_the_authors(evaluated):
    for study in (evaluated[0], imported(evaluated[0])):
        frame = tripod(study, evaluated[1], PACK)
        assert all(status(frame, item) == FILL for item in ALWAYS)
        assert all(status(frame, item) == FILL for item in ("1", "2", "5b"))
    assert status(claim(*evaluated, PACK), "31") == FILL


def test_pointers_exist(evaluated):
    for frame in (tripod(*evaluated, PACK), claim(*evaluated, PACK)):
        answered = frame[~frame["status"].isin([FILL, "not applicable"])]
        for text in answered["where"]:
            for pointer in text.partition(": ")[0].split("; "):
                assert pointer in PACK, text


def test_without_its_place_an_item_falls_back(evaluated):
    assert status(tripod(*evaluated, PACK), "20a") == "reported"
    without = {place for place in PACK if "flow" not in place and "Cohort" not in place}
    assert status(tripod(*evaluated, without), "20a") == FILL
    for frame in (tripod(*evaluated, set()), claim(*evaluated, set())):
        assert set(frame["status"]) == {FILL, "not applicable"}


def test_of_models_trained_elsewhere_nothing_is_said(evaluated):
    study = imported(evaluated[0])
    frame = tripod(study, evaluated[1], PACK)
    for item in ("5a", "6b", "7", "9a", "9b", "11", "12b", "12c", "12f", "13", "16", "18e", "22", "24"):
        assert status(frame, item) == FILL, item
    for item in ("12a", "12g", "15", "18f", "20a", "21"):
        assert status(frame, item) == "partly", item
    second = claim(study, evaluated[1], PACK)
    for item in ("9", "10", "12", "22", "24", "25", "26", "27", "33"):
        assert status(second, item) == FILL, item
    assert status(second, "20") == status(second, "32") == status(second, "23") == "partly"
    text = " ".join([*frame["where"], *second["where"]])
    for word in ("weighting", "Platt", "settings", "calibrated", "never saw their patients is the epoch", "phantom"):
        assert word not in text, word
    first, second = study.folds.folds[:2]
    crossed = dataclasses.replace(study, folds=study.folds.changed(folds=[first, second.changed(test=first.test)]))
    assert status(claim(crossed, evaluated[1], PACK), "20") == FILL


def test_short_facts(evaluated):
    stored, evaluation = evaluated
    assert "no class weighting" in where(tripod(*evaluated, PACK), "13")
    weighted = tripod(with_sets(stored, "train.class_weighting=balanced"), evaluation, PACK)
    assert "balanced class weights in image, tabular, concat and attention, then Platt scaling" in where(weighted, "13")
    assert "random, stratified, by patient" in where(tripod(*evaluated, PACK), "12a")
    by_site = with_sets(stored, "protocol.fold_column=site", "protocol.repeats=1")
    assert "test parts by site" in where(tripod(by_site, evaluation, PACK), "12a")
    assert status(tripod(by_site, evaluation, PACK), "16") == "partly"
    assert status(claim(by_site, evaluation, PACK), "33") == "partly"
    assert "last epoch" in where(claim(with_sets(stored, "train.keep=last"), evaluation, PACK), "26")
    own = dataclasses.replace(stored, folds=stored.folds.changed(own=True))
    assert (
        status(tripod(own, evaluation, PACK), "12a") == "partly" and status(tripod(own, evaluation, PACK), "16") == FILL
    )
    file = with_sets(stored, "model.weights=file:/somewhere/weights.pth")
    assert status(claim(file, evaluation, PACK), "24") == "partly"
    assert "somewhere" not in " ".join(claim(file, evaluation, PACK)["where"])


def test_prevalence_decides_on_clinical_utility(evaluated):
    stored, evaluation = evaluated
    assert status(tripod(stored, evaluation, PACK), "12e") == "partly"
    assert status(tripod(with_sets(stored, "protocol.prevalence=0.01"), evaluation, PACK), "12e") == "reported"


def test_sites(evaluated):
    stored, evaluation = evaluated

    def with_site(values, **frames):
        images = stored.cohort.images.assign(site=values)
        study = dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, images=images))
        return tripod(study, dataclasses.replace(evaluation, **frames), PACK)

    none = {"contrasts_by_class": pd.DataFrame(), "subgroups": pd.DataFrame()}
    assert status(tripod(stored, evaluation, PACK), "12d") == "reported"
    assert status(with_site("A", **none), "12d") == "not applicable"
    assert status(with_site(pd.NA, **none), "12d") == status(with_site(pd.NA, **none), "23b") == FILL
    assert status(tripod(stored, dataclasses.replace(evaluation, **none), PACK), "12d") == FILL, (
        "several, but no result"
    )


def test_no_feature_and_no_subgroup(evaluated):
    stored, evaluation = evaluated
    bare = dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, features=()))
    frame = tripod(bare, dataclasses.replace(evaluation, subgroups=pd.DataFrame()), PACK)
    assert status(frame, "14") == FILL and status(frame, "23a") == "partly" and status(frame, "11") == "partly"
    assert "age (" not in where(frame, "9a") and "images" in where(frame, "9a")


def test_cohorts(evaluated):
    stored, evaluation = evaluated

    def named(name):
        return tripod(
            dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, name=name)), evaluation, PACK
        )

    assert (status(named("phantom"), "5a"), status(named("phantom"), "18e")) == ("reported", "reported")
    assert (status(named("mini-ddsm-v2"), "5a"), status(named("mini-ddsm-v2"), "18e")) == ("partly", "partly")
    assert (status(named("hospital"), "5a"), status(named("hospital"), "18e")) == (FILL, FILL)


def test_unfinished_studies(evaluated):
    stored, evaluation = evaluated
    nothing = dataclasses.replace(stored, records={}, predictions=stored.predictions.iloc[:0])
    frame = tripod(nothing, Evaluation(), PACK)
    assert status(frame, "23a") == status(frame, "23b") == FILL and status(frame, "20a") == "reported"
    assert status(claim(nothing, Evaluation(), PACK), "37") == FILL
    records = {name: record for name, record in stored.records.items() if not name.startswith("image.r1")}
    frame = claim(dataclasses.replace(stored, records=records), evaluation, PACK)
    assert status(frame, "37") == "partly" and "14 of 16 models finished" in where(frame, "37")


def test_markdown(evaluated):
    text = to_markdown(claim(*evaluated, PACK), "CLAIM 2024")
    assert (
        text.startswith("**CLAIM 2024**\n\n| Item")
        and "\n44 items; " in text
        and "wording of the list was not at hand" in text
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 46 and all(line.count("|") == lines[0].count("|") for line in lines)
    frame = pd.DataFrame({"item": ["1"], "topic": ["a|b"], "status": [FILL], "where": [""]})
    assert (
        to_markdown(frame, "T") == "**T**\n\n| Item | Topic | Status | Where |\n| --- | --- | --- | --- |\n"
        "| 1 | a\\|b | **AUTHOR MUST FILL** |  |\n\n1 item; AUTHOR MUST FILL: 1.\n"
    )
