"""Checklists: every item answered from what a record knows, never more, and every pointer leads somewhere."""

import csv
import dataclasses
import io

import pandas as pd
import pytest
from docx import Document

from study.design.study_file import load
from study.evaluation.evaluation import Evaluation, evaluate
from study.records.environment import Environment, Imported
from study.records.stored_study import load_study
from study.reporting.checklists.answers import entries, subjects
from study.reporting.checklists.forms import CHECKLISTS, STATUSES, fill_all, items, overview, places, to_markdown
from study.reporting.checklists.prompts import prompts
from study.reporting.checklists.prompts import to_markdown as list_of
from study.reporting.checklists.word import WIDTHS, form
from study.reporting.document import places as places_of
from study.reporting.facts.prose import FILL
from study.reporting.manifest import Options
from study.reporting.pack import gather_content
from tests.study.reporting.test_prose import planned

TRIPOD, CLAIM, STARD, PROBAST = CHECKLISTS
ONLY_AUTHORS = ["3a", "3b", "3c", "18a", "18b", "18c", "18d", "19", "27a", "27b", "27c"]
HEADINGS = ["Answer", "Cohort", "Performance", "Differences between models", "Calibration", "Subgroups", "Limitations"]
MORE = ["Methods", "Errors", "Operating points", "Training", "Provenance", "Audit"]
PARAGRAPHS = [
    "Data",
    "Images",
    "Clinical predictors",
    "Partitions",
    "Models",
    "Training",
    "Scores, calibration and thresholds",
    "Performance",
    "Differences between models",
    "Heterogeneity",
    "Software and reporting",
]
PACK = places(
    {"report.md": HEADINGS, "supplement.md": [*HEADINGS, *MORE], "methods.md": PARAGRAPHS},
    {
        **{"table_1": "1", "main": "2", "comparisons": "3", "operating_points": "4"},
        **{"flow": "S1", "settings": "S2", "folds": "S3", "subgroups": "S4", "per_fold": "S5"},
    },
    {"flow": "1", "main": "2", "contrasts": "3", "roc_pr": "S1", "calibration": "S2", "subgroups": "S3"},
    ["numbers.json"],
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


def named(stored, name):
    """Return the study as one of another cohort."""
    return dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, name=name))


def filled(study, evaluation, title, there=PACK):
    return fill_all(study, evaluation, there)[title].set_index("item")


@pytest.fixture(scope="module")
def holdout(tiny):
    folder = tiny.run("holdout-lists", arms="image,tabular", sets=["protocol.holdout=0.4"]).folder
    study = load_study(folder)
    return study, evaluate(study, n_replicates=50)


@pytest.fixture(scope="module")
def contents(evaluated, holdout):
    """What packs of several kinds of study are made from."""
    stored, evaluation = evaluated
    by_kind = {
        "cross-validation": (stored, evaluation),
        "imported": (imported(stored), evaluation),
        "hold-out": holdout,
        "hospital": (named(stored, "hospital"), evaluation),
        "planned": (planned(stored), evaluation),
        "nothing finished": (
            dataclasses.replace(stored, records={}, predictions=stored.predictions.iloc[:0]),
            Evaluation(),
        ),
    }
    return {kind: gather_content(*pair, Options()) for kind, pair in by_kind.items()}


def test_items_are_those_of_the_published_list(real_data):
    published = pd.read_csv(real_data.parent / "reference" / "tripod_ai_2024_items.csv", dtype=str)
    columns = ["item", "section", "topic"]
    pd.testing.assert_frame_equal(published[columns], items(TRIPOD)[columns])


def test_every_list_is_complete_and_in_order():
    assert list(items(CLAIM)["item"]) == [str(n) for n in range(1, 45)]
    assert len(items(TRIPOD)) == 52 and items(TRIPOD)["item"].is_unique
    divided = {15: "abcd", 16: "abc", 17: "ab", 26: "ab", 40: "ab"}
    stard = [f"{n}{letter}" for n in range(1, 41) for letter in divided.get(n, [""])]
    assert list(items(STARD)["item"]) == stard and len(stard) == 48, "as in table 2 of Sounderajah et al. 2025"
    domains = items(PROBAST)[items(PROBAST)["answer"] == ""]["item"]
    assert list(domains) == ["D1", "D2", "D3", "D4", "E1", "E2", "E3", "E4"]


def test_every_answer_is_asked_for_and_every_item_has_one():
    asked = {name for title in CHECKLISTS for name in items(title)["answer"] if name}
    assert asked == set(entries())
    assert sum(len(answers) for answers in subjects().values()) == len(entries()), "a name is there twice"
    known = {"where", "says", "write", "absent", "own", "results", "judgement", "like", "methods"}
    for name, entry in entries().items():
        assert set(entry) <= known and entry.get("like", name) in entries(), name


def test_every_item_is_answered_whatever_the_study(contents):
    for kind, content in contents.items():
        for title, frame in content.checklists.items():
            assert set(frame["status"]) <= set(STATUSES) and not frame.isna().any(axis=None), (kind, title)
            assert ((frame["answer"] != "") | (frame["to_write"] != "")).all(), (kind, title)
            left = frame["status"].isin([FILL, "partly"])
            assert (left == (frame["to_write"] != "")).all(), (kind, title)
            assert (frame.loc[frame["status"] == FILL, ["where", "answer"]] == "").all(axis=None), (kind, title)
            for text in [*frame["answer"], *frame["to_write"]]:
                assert not text or ((not text[0].islower() or text.startswith("mmbc")) and text[-1] in ".?"), (
                    kind,
                    text,
                )
                assert "  " not in text and ".." not in text and " ." not in text, (kind, text)
                assert ": none" not in text and " by none" not in text and "&#" not in text, (kind, text)


def test_pointers_exist_and_each_is_of_some_pack(contents):
    everything = set()
    for kind, content in contents.items():
        there = places_of(content)
        everything |= {*there}
        for title, frame in content.checklists.items():
            pointers = {place for where in frame["where"] for place in where.split("; ") if place}
            assert pointers <= {*there.values()}, (kind, title)
            assert (frame.loc[frame["status"] == "reported", "where"] != "").all(), (kind, title)
    of_others = {"table search_chosen", "methods.md, Clinical utility", "table errors"}
    named_places = {place for entry in entries().values() for place in entry.get("where", ())}
    assert named_places - everything <= of_others, "no pack has such a place: was it renamed?"


def test_without_its_place_an_item_falls_back(evaluated):
    assert filled(*evaluated, TRIPOD).loc["20a", "status"] == "reported"
    without = {place: shown for place, shown in PACK.items() if "flow" not in place and "Cohort" not in place}
    assert filled(*evaluated, TRIPOD, without).loc["20a", "status"] == FILL
    assert not set(filled(*evaluated, CLAIM, {})["status"]) & {"reported"}


def test_what_no_record_knows_is_the_authors(evaluated):
    for study in (evaluated[0], imported(evaluated[0])):
        frame = filled(study, evaluated[1], TRIPOD)
        assert set(frame.loc[ONLY_AUTHORS, "status"]) == {FILL}
    real = filled(named(evaluated[0], "hospital"), evaluated[1], STARD)
    assert set(real.loc[["8", "10", "16b", "17b", "27", "32", "13", "6"], "status"]) == {FILL}
    assert "Cancer" in real.loc["27", "to_write"] and "Normal" in real.loc["16a", "to_write"], "by class"


def test_what_the_pack_knows_is_not_asked_of_the_authors(evaluated):
    claim, hospital = (filled(study, evaluated[1], CLAIM) for study in (evaluated[0], named(evaluated[0], "hospital")))
    assert set(claim.loc[["8", "10"], "status"]) == {"not applicable"} and claim.loc["9", "status"] == "reported"
    assert set(hospital.loc[["8", "9", "10", "14"], "status"]) == {"partly"}
    assert "no clinical reference standard exists" in claim.loc["14", "answer"]
    for frame in (claim, hospital):
        assert set(frame.loc[["31", "33"], "status"]) == {"reported"}
        assert frame.loc["33", "where"] == "Report, Limitations; Supplement, Limitations"
    tripod, probast = filled(*evaluated, TRIPOD)["status"], filled(*evaluated, PROBAST)["status"]
    assert set(tripod[["9a", "9b"]]) == {probast["A2"]} == {"not applicable"}
    assert set(filled(*evaluated, STARD).loc[["15b", "29"], "status"]) == {"reported"}


def test_an_analysis_plan_answers_the_items_on_the_protocol(evaluated, contents):
    frames = contents["planned"].checklists
    said = frames[TRIPOD].set_index("item").loc["18c"]
    assert said["status"] == "partly" and said["where"] == "analysis_plan.md; Methods, Analysis plan"
    assert said["answer"].startswith("The analysis plan of 3 March 2020 is part of this pack")
    assert "analysis_plan.md" in frames[CLAIM].set_index("item").loc["42", "where"]
    assert frames[PROBAST].set_index("item").loc["E4.8", "judgement"] == "probably no", "fewer bootstrap samples"


def test_of_models_trained_elsewhere_nothing_is_said(evaluated):
    frames = fill_all(imported(evaluated[0]), evaluated[1], PACK)
    tripod, claim = (frames[title].set_index("item") for title in (TRIPOD, CLAIM))
    for item in ("5a", "6b", "7", "9a", "9b", "11", "12b", "12c", "12f", "13", "16", "18e", "22", "24"):
        assert tripod.loc[item, "status"] == FILL, item
    for item in ("12a", "12g", "15", "18f", "20a", "21"):
        assert tripod.loc[item, "status"] == "partly", item
    for item in ("9", "10", "12", "17", "22", "24", "25", "26", "27", "33", "42"):
        assert claim.loc[item, "status"] == FILL, item
    assert set(claim.loc[["20", "32", "23"], "status"]) == {"partly"}
    text = " ".join(said for frame in frames.values() for said in frame["answer"])
    for word in ("weighting", "Platt", "settings", "calibrated", "never saw", "phantom", "synthetic"):
        assert word not in text, word
    probast = frames[PROBAST].set_index("item")["judgement"]
    assert set(probast[["D4.3", "D4.4", "E1.3", "E4.6"]]) == {""} and probast["E4.5"] == "yes"


def test_patients_in_two_given_test_parts_are_not_called_disjoint(evaluated):
    study = imported(evaluated[0])
    first, second = study.folds.folds[:2]
    crossed = dataclasses.replace(study, folds=study.folds.changed(folds=[first, second.changed(test=first.test)]))
    assert filled(crossed, evaluated[1], CLAIM).loc["20", "status"] == FILL


def test_facts(evaluated):
    stored, evaluation = evaluated

    def said(item, *sets, title=TRIPOD):
        return filled(with_sets(stored, *sets), evaluation, title).loc[item, "answer"]

    assert "No class weighting" in said("13")
    weighted = said("13", "train.class_weighting=balanced")
    assert "Images alone" in weighted and weighted.endswith("then Platt scaling.")
    assert "random, stratified, by patient" in said("12a") and "tuning" in said("19", title=CLAIM)
    by_site = ("protocol.fold_column=site", "protocol.repeats=1")
    assert said("12a", *by_site).startswith("Testing parts by site") and "by site" in said("33", *by_site, title=CLAIM)
    assert "last epoch" in said("26", "train.keep=last", title=CLAIM)
    file = filled(with_sets(stored, "model.weights=file:/somewhere/weights.pth"), evaluation, CLAIM)
    assert file.loc["24", "status"] == "partly" and "somewhere" not in " ".join(file["answer"])
    assert "fits of each network are evaluated" in said("26", title=CLAIM)
    blank = stored.cohort.images[["age", "density"]].isna().any(axis=1)
    patients = stored.cohort.images.loc[blank, "patient_id"].nunique()
    assert said("12", title=CLAIM) == (
        f"{patients} patients ({blank.sum()} images) with a missing clinical value: the median of the"
        " training part stood in for it."
    )
    own = dataclasses.replace(stored, folds=stored.folds.changed(own=True))
    assert filled(own, evaluation, TRIPOD).loc["12a", "status"] == "partly"
    assert filled(own, evaluation, TRIPOD).loc["16", "status"] == FILL


def test_sample_sizes_of_development_and_evaluation_stand_apart(evaluated):
    stored = evaluated[0]
    counts = stored.folds.table(stored.cohort.images)
    train = counts[counts["part"] == "train"]
    said = filled(*evaluated, TRIPOD).loc["10", "answer"]
    assert f"Development: each model was trained on at least {train['n_patients'].min()} patients" in said
    labels = stored.cohort.images.groupby("patient_id")["label"].max()
    assert f"Evaluation: {len(labels)} patients ({labels.sum()} positive)" in said


def test_the_limitations_are_those_of_the_report(contents):
    text = contents["cross-validation"].checklists[CLAIM].set_index("item").loc["40", "answer"]
    assert "No patients from outside this collection were tested" in text and "smallest test part" in text


def test_authors_are_asked_for_the_reasons_of_their_choices(evaluated):
    study = with_sets(evaluated[0], "protocol.prevalence=0.01")
    frames = fill_all(study, evaluated[1], PACK)
    tripod = frames[TRIPOD].set_index("item")["to_write"]
    assert "prevalence of 1 %" in tripod["12e"] and "90 % specificity" in tripod["15"]
    assert "sample size" in tripod["10"] and "(δ)" in frames[CLAIM].set_index("item").loc["29", "to_write"]
    without = filled(*evaluated, TRIPOD).loc["12e", "to_write"]
    assert "--set protocol.prevalence=" in without


def test_sites(evaluated):
    stored, evaluation = evaluated

    def with_site(values, **frames):
        images = stored.cohort.images.assign(site=values)
        study = dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, images=images))
        return filled(study, dataclasses.replace(evaluation, **frames), TRIPOD)["status"]

    none = {"contrasts_by_class": pd.DataFrame(), "subgroups": pd.DataFrame()}
    assert filled(*evaluated, TRIPOD).loc["12d", "status"] == "reported"
    assert with_site("A", **none)["12d"] == with_site("A", **none)["23b"] == "not applicable"
    assert with_site(pd.NA, **none)["12d"] == with_site(pd.NA, **none)["23b"] == FILL
    several = filled(stored, dataclasses.replace(evaluation, **none), TRIPOD)
    assert several.loc["12d", "status"] == FILL and "too small to compare" in several.loc["12d", "to_write"]


def test_results_by_site_are_those_of_the_subgroups(evaluated):
    stored, evaluation = evaluated
    rows = pd.DataFrame(
        [
            ("concat", "site", site, "patient", 30, 12, False, value, value - 0.1, value + 0.1, p)
            for site, value, p in (("A", 0.7, 0.04), ("B", 0.8125, float("nan")))
        ],
        columns=list(evaluation.subgroups),
    )
    said = filled(stored, dataclasses.replace(evaluation, subgroups=rows), TRIPOD).loc["23b", "answer"]
    assert "concatenated 0.700 to 0.81" in said and "p = 0.040" in said


def test_no_feature_and_no_subgroup(evaluated):
    stored, evaluation = evaluated
    bare = dataclasses.replace(stored, cohort=dataclasses.replace(stored.cohort, features=()))
    frame = filled(bare, dataclasses.replace(evaluation, subgroups=pd.DataFrame()), TRIPOD)
    assert frame.loc["14", "status"] == FILL and frame.loc["23a", "status"] == "partly"
    assert "No clinical column is a predictor" in frame.loc["11", "answer"]
    assert frame.loc["9a", "answer"] == "Generated by the program: images."


def test_cohorts(evaluated):
    stored, evaluation = evaluated
    for name, source, sharing in (
        ("phantom", "reported", "reported"),
        ("mini-ddsm-v2", "partly", "partly"),
        ("hospital", FILL, FILL),
    ):
        status = filled(named(stored, name), evaluation, TRIPOD)["status"]
        assert (status["5a"], status["18e"]) == (source, sharing), name


def test_unfinished_studies(evaluated):
    stored, evaluation = evaluated
    nothing = dataclasses.replace(stored, records={}, predictions=stored.predictions.iloc[:0])
    frame = filled(nothing, Evaluation(), TRIPOD)
    assert set(frame.loc[["23a", "23b"], "status"]) == {FILL} and frame.loc["20a", "status"] == "reported"
    assert "no result yet" in frame.loc["23a", "to_write"]
    records = {name: record for name, record in stored.records.items() if not name.startswith("image.r1")}
    frame = filled(dataclasses.replace(stored, records=records), evaluation, CLAIM)
    assert frame.loc["37", "status"] == "partly" and "14 of 16 models finished" in frame.loc["37", "to_write"]


def test_bias_is_judged_by_what_the_record_knows(evaluated):
    stored, evaluation = evaluated

    def judged(study):
        return filled(study, evaluation, PROBAST)["judgement"]

    real = judged(named(stored, "hospital"))
    assert real["E4.5"] == real["E1.3"] == "yes" and real["E4.1"] == "probably no" and real["E4"] == "high"
    assert real["E3.1"] == "" and real["E3"] == "unclear"
    chosen = dataclasses.replace(stored, chosen_contrasts=(("concat", "image"),))
    assert judged(chosen)["E4.8"] == "probably no"
    assert judged(stored)["E3"] == "low", "labels of the phantom are known"


def test_the_list_of_what_is_left_has_every_mark_of_the_pack(contents):
    for kind, content in contents.items():
        frames = content.checklists
        text = list_of(prompts(frames, content.methods), "synthetic")
        for frame in frames.values():
            for write in frame["to_write"]:
                assert f"- [ ] {write} (" in text or not write, kind
        n_marks = sum(paragraph.count(FILL) for paragraph in content.methods)
        places = [place for of in prompts(frames, content.methods).values() for each in of.values() for place in each]
        assert n_marks == sum(place.startswith("Methods, ") for place in places) and "[@" not in text, kind
    of_methods = prompts(contents["cross-validation"].checklists, contents["cross-validation"].methods)
    assert "Methods" not in of_methods, "everything that Methods ask for is asked in the words of a checklist"
    points = prompts(contents["hospital"].checklists, contents["hospital"].methods)
    asked = points["Patients and images"]
    vendor = next(places for what, places in asked.items() if what.startswith("Name vendor"))
    assert "CLAIM 13" in vendor and "STARD-AI 13" in vendor, "once, with every place"


def test_nothing_left_to_write_is_said():
    assert "There is nothing left to write." in list_of({}, "")


def test_the_word_form_says_what_the_csv_says(evaluated):
    frames = fill_all(*evaluated, PACK)
    for title, frame in frames.items():
        data = form(frame, title, "synthetic")
        assert data == form(frame, title, "synthetic")
        document = Document(io.BytesIO(data))
        rows = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
        assert rows[0] == list(WIDTHS)
        lines = [row for row in rows[1:] if len(set(row)) > 1]
        assert [row[0] for row in lines] == list(frame["item"])
        for row, line in zip(lines, frame.to_dict("records"), strict=True):
            assert line["asks_for"] in row[1] and line["answer"] in row[2] and line["to_write"] in row[2]
            assert row[3] == line["status"] and row[4].split("\n") == line["where"].split("; ")
            assert (f"{FILL}: " in row[2]) == (line["to_write"] != "") and row[-1] == "", "a page is left to fill"
        assert [row[0] for row in rows[1:] if len(set(row)) == 1] == list(
            frame.loc[frame["section"] != frame["section"].shift(), "section"]
        )
        assert any("Synthetic." in paragraph.text for paragraph in document.paragraphs)


def test_markdown(evaluated):
    frames = fill_all(*evaluated, PACK)
    text = to_markdown(frames[CLAIM], CLAIM, "synthetic")
    assert text.startswith("**CLAIM (2024)**\n\n> **Synthetic.**\n\n| Item") and "\n44 items; " in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 46 and all(line.count("|") == lines[0].count("|") for line in lines)
    assert text.count(f"**{FILL}: ") == (frames[CLAIM]["to_write"] != "").sum()
    table = overview(frames)[1].splitlines()
    assert len(table) == 6 and "(checklists/claim_2024.docx)" in table[3]
    counted = [int(cell) for cell in table[3].split("|")[2:8]]
    assert counted[0] == 44 == sum(counted[1:])


def test_items_are_said_in_few_words():
    for title in CHECKLISTS:
        rows = list(csv.DictReader(io.StringIO(items(title).to_csv(index=False))))
        assert all(len(row["asks_for"].split()) <= 20 for row in rows), title
