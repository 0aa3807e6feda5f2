"""Patients by part: counts that add up, means by hand, and the part that differs most."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from mmbc.data.cohort import Feature
from study.design.folds import Fold
from study.evaluation.groups import group_by_unit
from study.records.environment import Imported
from study.reporting.figures.catalogue import _flow
from study.reporting.tables.cohort import flow_table, table_one
from study.reporting.tables.partitions import partitions_table


def small(stored, folds, kind="cross-validation"):
    """A study of eight patients with ages 40, 42, ..., the last of unknown age, three of them positive."""
    ids = [f"P{n}" for n in range(8)]
    images = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": ids,
            "case_id": ids,
            "breast": "L",
            "view": "CC",
            "status": ["Cancer"] * 3 + ["Benign"] * 5,
            "site": ["A"] * 4 + ["B"] * 4,
            "label": [1] * 3 + [0] * 5,
            "age": [40.0, 42, 44, 46, 48, 50, 52, np.nan],
            "density": ["a", "b"] * 4,
        }
    )
    features = (Feature("age", "numeric", ()), Feature("density", "categorical", ()))
    cohort = dataclasses.replace(stored.cohort, images=images, features=features)
    return dataclasses.replace(
        stored, cohort=cohort, folds=stored.folds.changed(kind=kind, n_folds=len(folds), repeats=1, folds=folds)
    )


@pytest.fixture
def holdout(stored):
    ids = [f"P{n}" for n in range(8)]
    fold = Fold(repeat=0, fold=0, train=ids[:4], validation=ids[4:6], test=ids[6:])
    return small(stored, [fold], "holdout")


def test_means_and_shares_by_hand(holdout):
    shown = partitions_table(holdout).shown.set_index("")
    assert list(shown) == ["Training", "Validation", "Test", "All", "Standardised difference"]
    assert list(shown.loc["Patients, n"]) == ["4", "2", "2", "8", ""]
    assert list(shown.loc["Positive, n (%)"])[:4] == ["3 (75.0)", "0 (0.0)", "0 (0.0)", "3 (37.5)"]
    assert shown.loc["Age, years, mean (SD)", "Training"] == "43.0 (2.6)"
    assert list(shown.loc["Age missing, n"]) == ["0", "0", "1", "1", ""]
    assert list(shown.loc["Site B, n (%)"])[:3] == ["0 (0.0)", "2 (100.0)", "2 (100.0)"]
    p = 1 / 3  # two of the six others are of site B
    assert shown.loc["Site B, n (%)", "Standardised difference"] == f"+{(1 - p) / np.sqrt(p * (1 - p) / 2):.2f}"
    assert shown.loc["Age, years, mean (SD)", "Standardised difference"] == "n/a", "one known age has no spread"
    assert "compares the test part with all other patients" in partitions_table(holdout).caption


def test_of_folds_the_one_that_differs_most_is_compared(stored):
    ids = [f"P{n}" for n in range(8)]
    tests = [ids[:2], ids[2:5], ids[5:]]
    folds = [
        Fold(repeat=0, fold=n, train=[p for p in ids if p not in test], validation=[], test=test)
        for n, test in enumerate(tests)
    ]
    table = partitions_table(small(stored, folds))
    shown = table.shown.set_index("")
    assert list(shown)[:4] == ["Fold 1", "Fold 2", "Fold 3", "All"] and list(shown)[-1].startswith("Largest")
    of_site = table.data[table.data["characteristic"] == "Site A, n (%)"].set_index("group")["standardised_difference"]
    assert shown.loc["Site A, n (%)", list(shown)[-1]] == f"{max(of_site.dropna(), key=abs):+.2f}".replace("-", "−")
    named = [fold.changed(name=f"Hospital {fold.fold}") for fold in folds]
    assert list(partitions_table(small(stored, named)).shown)[1:3] == ["Hospital 0", "Hospital 1"]


def test_every_patient_counts_once_and_all_is_table_1(evaluated):
    study = evaluated[0]
    data, first = partitions_table(study).data, table_one(study).data
    for name in ("Patients, n", "Images, n"):
        rows = data[data["characteristic"] == name].set_index("group")["n"]
        assert rows.drop("All").sum() == rows["All"]
        whole = first[(first["characteristic"] == name) & (first["group"] == "All")]["n"]
        assert rows["All"] == whole.iloc[0]
    assert "of the first repeat" in partitions_table(study).caption


def test_a_single_known_part_has_no_table(holdout):
    ids = [f"P{n}" for n in range(8)]
    folds = holdout.folds.changed(folds=[holdout.folds.folds[0].changed(train=(), validation=(), test=ids)])
    alone = dataclasses.replace(
        holdout, folds=folds, environment=holdout.environment.changed(imported=Imported(file="mine.csv"))
    )
    assert partitions_table(alone).shown.empty


def several(stored, folds):
    """Eight patients; P0 has three images of density b beside one of a, P1 one of each, P2 a benign image too."""
    study = small(stored, folds)
    images = study.cohort.images
    more = pd.concat([images, images.iloc[[0, 0, 0, 1, 2]]], ignore_index=True)
    more["image_id"] = [f"I{n}" for n in range(len(more))]
    more["case_id"] = more["image_id"]
    more.loc[8:10, "density"], more.loc[11, "density"] = "b", "a"
    more.loc[12, ["status", "label"]] = ["Benign", 0]
    flow = more.groupby("status").agg(n_images=("image_id", "size"), n_patients=("patient_id", "nunique"))
    flow = pd.concat([flow.reset_index().assign(step=step) for step in ("listed", "used")], ignore_index=True)
    return dataclasses.replace(study, cohort=dataclasses.replace(study.cohort, images=more, flow=flow))


def test_a_patient_of_several_values_is_counted_alike_in_table_one_the_parts_and_the_subgroups(stored):
    ids = [f"P{n}" for n in range(8)]
    folds = [Fold(repeat=0, fold=n, train=ids[4:], validation=[], test=ids[4 * n : 4 * n + 4]) for n in (0, 1)]
    study = several(stored, folds)
    first, parts = (
        table.data[table.data["group"] == "All"].set_index("characteristic")["n"]
        for table in (table_one(study), partitions_table(study))
    )
    _, group_of = group_by_unit(
        study.cohort.images, study.cohort.images["density"], study.cohort.images["density"], "patient"
    )
    counted = group_of["group"].value_counts().to_dict()
    assert counted == {"a": 4, "b": 4}, "P0 is b by most of its images, P1 a by the smaller of two"
    for value, n in counted.items():
        assert first[f"Breast density {value}, n (%)"] == parts[f"Breast density {value}, n (%)"] == n
    assert group_of.set_index("patient_id")["group"][["P0", "P1"]].tolist() == ["b", "a"]
    for table in (table_one(study), partitions_table(study)):
        assert "2 patients have several values of a characteristic and are counted with that of most" in table.caption


def test_the_flow_and_table_one_explain_each_other(stored):
    study = several(stored, [Fold(repeat=0, fold=0, train=["P4"], validation=[], test=["P0"])])
    said = (
        "Therefore Benign has 6 images of 6 patients in the flow and 5 images of 5 patients in Table 1; Cancer has 7"
        " images of 3 patients in the flow and 8 images of 3 patients in Table 1."
    )
    assert "A patient of several classes counts once; {table:flow} says how." in table_one(study).caption
    for caption in (flow_table(study).caption, _flow(study).caption):
        assert "1 patient has images of several classes." in caption and said in caption
    figure, _ = _flow(study).draw()
    assert any("1 patient in several classes" in text.get_text() for text in figure.findobj(Text))
    assert "several classes" not in flow_table(small(stored, study.folds.folds)).caption
