import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbc.data.splits import (
    Split,
    check,
    cross_validation,
    holdout,
    inner_folds,
    nested_share,
    patient_table,
    predefined,
    rows_of,
    strata,
)
from mmbc.errors import LeakageError, SplitError


def images_of(labels, sites, n_images):
    rows = [
        {
            "image_id": f"P{p}-{i}",
            "patient_id": f"P{p}",
            "status": "Cancer" if label else ("Benign", "Normal")[p % 2],
            "site": site,
            "label": label,
        }
        for p, (label, site, n) in enumerate(zip(labels, sites, n_images, strict=True))
        for i in range(n)
    ]
    return pd.DataFrame(rows)


cohorts = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 9)), min_size=6 * k, max_size=60),
        st.integers(2 * k, 4 * k),
        st.integers(0, 1000),
    )
)


@settings(max_examples=40, deadline=None)
@given(cohorts)
def test_folds_are_disjoint_complete_stratified_and_reproducible(drawn):
    n_folds, patients, n_positive, seed = drawn
    labels = [int(p < n_positive) for p in range(len(patients))]
    images = images_of(labels, *zip(*patients, strict=True))
    table = patient_table(images)
    folds = cross_validation(table, n_folds=n_folds, validation=0.2, rng=np.random.default_rng(seed))
    tested = [patient for split in folds for patient in split.test]
    assert sorted(tested) == sorted(table["patient_id"])
    for split in folds:
        check(split, table, where="fold", tolerance=0.25)
        rows = rows_of(split, images)
        assert sorted(np.concatenate(list(rows.values()))) == list(range(len(images)))
        positive = table.set_index("patient_id").loc[list(split.test), "label"].sum()
        assert abs(positive - n_positive / n_folds) <= len(set(strata(table, n_folds)))
    assert folds == cross_validation(table, n_folds=n_folds, validation=0.2, rng=np.random.default_rng(seed))


def test_row_order_changes_nothing():
    images = images_of([1, 0, 0] * 10, "ABC" * 10, [4] * 30)
    shuffled = images.sample(frac=1, random_state=1)
    folds = [
        cross_validation(patient_table(x), n_folds=5, validation=0.2, rng=np.random.default_rng(0))
        for x in (images, shuffled)
    ]
    assert folds[0] == folds[1]


def test_patient_with_two_statuses_is_positive_and_whole():
    images = pd.DataFrame(
        {
            "image_id": list("abcd"),
            "patient_id": ["P", "P", "Q", "Q"],
            "status": ["Benign", "Cancer", "Benign", "Benign"],
            "site": "A",
            "label": [0, 1, 0, 0],
        }
    )
    table = patient_table(images)
    assert table[["patient_id", "label", "status", "n_images"]].to_numpy().tolist() == [
        ["P", 1, "Cancer", 2],
        ["Q", 0, "Benign", 2],
    ]


def test_holdout_share():
    table = patient_table(images_of([1, 0] * 50, "AB" * 50, [2] * 100))
    split = holdout(table, test=0.2, validation=0.25, rng=np.random.default_rng(0))
    assert (len(split.test), len(split.validation), len(split.train)) == (20, 20, 60)


def test_too_few_patients_of_a_class():
    table = patient_table(images_of([1, 1, 0, 0, 0, 0, 0, 0], "A" * 8, [1] * 8))
    with pytest.raises(SplitError, match="2 patients have label 1"):
        cross_validation(table, n_folds=5, validation=0.2, rng=np.random.default_rng(0))


class TestCheck:
    table = patient_table(images_of([1, 0] * 6, "A" * 12, [1] * 12))
    train, validation, test = ("P0", "P1", "P2", "P3"), ("P4", "P5", "P6", "P7"), ("P8", "P9", "P10", "P11")

    def check(self, train=train, validation=validation, test=test, tolerance=0.1):
        check(Split(train, validation, test), self.table, where="fold 0", tolerance=tolerance)

    def test_good_split_passes(self):
        assert self.check() is None

    def test_patient_on_two_sides_is_named(self):
        with pytest.raises(LeakageError, match=r"fold 0: patients both in train and in test: P8"):
            self.check(train=(*self.train, "P8"))

    def test_unknown_and_absent_patients_are_named(self):
        with pytest.raises(SplitError, match="does not have: X9"):
            self.check(train=(*self.train, "X9"))
        with pytest.raises(SplitError, match="in no part: P3"):
            self.check(train=self.train[:3])

    def test_one_class_is_refused(self):
        with pytest.raises(SplitError, match="not both classes"):
            self.check(train=("P0", "P1", "P2", "P3", "P9", "P11"), test=("P8", "P10"))

    def test_prevalence_out_of_tolerance_is_refused(self):
        images = images_of([1] * 20 + [0] * 20, "A" * 40, [1] * 40)
        table = patient_table(images)
        ids = [f"P{n}" for n in range(40)]
        split = Split(tuple(ids[:18] + ids[20:22]), tuple(ids[18:19] + ids[22:30]), tuple(ids[19:20] + ids[30:]))
        with pytest.raises(SplitError, match="prevalence_tolerance"):
            check(split, table, where="fold 0", tolerance=0.1)


@pytest.mark.parametrize("n_positive", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("validation", [0.05, 0.2, 0.5, 0.9])
def test_few_patients_of_a_class_give_valid_parts_or_a_sentence(n_positive, flipped, validation):
    labels = np.array([1] * n_positive + [0] * 20)
    table = patient_table(images_of(list(1 - labels if flipped else labels), "A" * len(labels), [1] * len(labels)))
    where = {"validation": validation, "rng": np.random.default_rng(0)}
    ways = [lambda n=n: cross_validation(table, n_folds=n, **where) for n in (2, 3, 4, 5)]
    ways += [lambda share=share: [holdout(table, test=share, **where)] for share in (0.05, 0.2, 0.5, 0.9)]
    ways += [lambda: predefined(table, [set(table["patient_id"][:1])], **where)]
    for way in ways:
        try:
            for split in way():
                for part in (split.train, split.validation):
                    assert table.set_index("patient_id")["label"].reindex(list(part)).nunique() == 2
        except SplitError as error:
            assert "label" in str(error) and "or more patients" in str(error)
    for n_folds in (2, 3):
        try:
            parts = inner_folds(table, n_folds=n_folds, rng=np.random.default_rng(0))
        except SplitError as error:
            assert "--inner-folds" in str(error) and n_positive < n_folds
        else:
            assert all(table.set_index("patient_id")["label"].reindex(list(part)).nunique() == 2 for part in parts)


def test_three_positives_in_two_folds_are_one_too_few():
    table = patient_table(images_of([1] * 3 + [0] * 20, "A" * 23, [1] * 23))
    with pytest.raises(SplitError, match="training and validation: 1 of them has label 1, two are needed"):
        cross_validation(table, n_folds=2, validation=0.2, rng=np.random.default_rng(0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(0, 1000))
def test_shares_of_patients_are_stratified_and_nested(drawn, seed):
    labels = {f"P{place}": label for place, label in enumerate(drawn)}
    shares = [nested_share(list(labels), labels, f, np.random.default_rng(seed)) for f in (0.01, 0.25, 0.5, 1)]
    for smaller, larger in itertools.pairwise(shares):
        assert set(smaller) <= set(larger)
    assert shares[-1] == tuple(sorted(labels))
    for label in set(drawn):
        n = [sum(labels[patient] == label for patient in share) for share in shares]
        assert n == [max(round(f * drawn.count(label)), 1) for f in (0.01, 0.25, 0.5, 1)]
    assert nested_share(list(labels)[::-1], labels, 0.5, np.random.default_rng(seed)) == shares[2]
