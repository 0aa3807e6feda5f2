import pandas as pd
import pytest

from mmbc.data.tables.labels import CONTRALATERAL, describe_negatives, label_breasts, label_classes
from mmbc.errors import CohortError


def rows(*statuses, **columns):
    frame = pd.DataFrame({"status": statuses})
    frame["image_id"] = [f"i{n}" for n in frame.index]
    return frame.assign(**columns)


def test_classes_default_to_one_against_the_rest():
    label = label_classes(rows("Cancer", "Benign", "Normal"), "made", ["Cancer"], [])
    assert label.tolist() == [1, 0, 0]


def test_named_negatives_leave_the_rest_out():
    label = label_classes(rows("Cancer", "Benign", "Normal"), "made", ["Cancer"], ["Benign"])
    assert label.tolist() == [1, 0, pd.NA]


def test_negatives_may_be_named_by_status_where_the_label_is_a_number():
    frame = rows("Cancer", "Benign", "Normal", outcome=["1", "0", "0"])
    assert label_classes(frame, "made", ["1"], ["Normal"]).tolist() == [1, pd.NA, 0]


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ([], [], "which labels are positive.*--positive.*'Benign' .1 row.*'Cancer'"),
        (["cancer"], [], "no image has the label 'cancer'"),
        (["Cancer"], ["benign"], "no negative image has the label 'benign'.*did you mean 'Benign'"),
        (["Cancer"], ["Cancer"], "as positive and as negative"),
        (["Cancer", "Benign"], [], "two classes are needed"),
    ],
)
def test_classes_that_cannot_be_are_explained(positive, negative, message):
    with pytest.raises(CohortError, match=message):
        label_classes(rows("Cancer", "Benign"), "made", positive, negative)


@pytest.mark.parametrize(
    "twin",
    ["malignant", "MALIGNANT", "Malignant\u200b", "Malig\u00adnant", "Malignant\xa0", "\uff2dalignant", " Malignant  "],
)
def test_spellings_of_one_label_never_become_two_classes(twin):
    frame = rows("Malignant", "benign", twin, "benign")
    with pytest.raises(CohortError, match=r"'Malignant' \(1 row: positive\)") as caught:
        label_classes(frame, "made", ["Malignant"], [])
    assert ascii(twin) in str(caught.value) and "name every spelling" in str(caught.value)
    assert label_classes(frame, "made", ["Malignant", twin], []).tolist() == [1, 0, 1, 0], "each is named"


def test_a_spelling_that_is_left_out_is_named_too():
    with pytest.raises(CohortError, match=r"'Benign' .2 rows: negative., 'benign' .1 row: not compared"):
        label_classes(rows("cancer", "Benign", "Benign", "benign"), "made", ["cancer"], ["Benign"])


def test_forms_of_unicode_and_of_numbers_are_one_label_too():
    composed, decomposed = "t\u00eate", "te\u0302te"
    with pytest.raises(CohortError, match=r"t\\xeate.*te\\u0302te"):
        label_classes(rows(composed, "benign", decomposed), "made", [composed], [])
    with pytest.raises(CohortError, match="'1' .*'1.0'"):
        label_classes(rows("1", "none", "1.0"), "made", ["1"], [])
    alike = rows("Malignant", "benign", "Benign")
    assert label_classes(alike, "made", ["Malignant"], []).tolist() == [1, 0, 0], "spellings with one label do no harm"


def test_labels_that_nobody_named_are_listed():
    frame = rows("malignant", "benign", "unclear", "benign", "maligant")
    label = label_classes(frame, "made", ["malignant"], [])
    (note,) = describe_negatives(frame["status"], label, ["malignant"])
    assert "'benign' (2 rows)" in note and "'unclear' (1 row)" in note
    assert "Is 'maligant' a misspelling of 'malignant'?" in note and "unclear' a misspelling" not in note
    assert describe_negatives(frame["status"][:2], label[:2], ["malignant"]) == []


def case(left, right, *, left_pathology="", right_pathology="", status="Cancer"):
    """Four images of one case: what is known of the left and of the right breast's CC view; MLO shows nothing."""
    frame = rows(*[status] * 4, case_id=status, breast=["L", "L", "R", "R"])
    frame["pathology"] = [left_pathology, "", right_pathology, ""]
    annotated = pd.Series([left, False, right, False], dtype="boolean")
    return frame, pd.Series([int(status == "Cancer")] * 4), annotated


def settle(frame, label, annotated):
    new_label, status, reason = label_breasts(frame, label, annotated)
    return new_label.tolist(), status.tolist(), reason.iloc[0]


def test_the_annotated_breast_is_positive_in_all_its_views():
    label, status, reason = settle(*case(True, False))
    assert label == [1, 1, 0, 0]
    assert status == ["Cancer", "Cancer", CONTRALATERAL, CONTRALATERAL]
    assert reason == ""


def test_negative_cases_stay_as_they_are_however_annotated():
    label, status, reason = settle(*case(True, True, status="Benign"))
    assert (label, set(status), reason) == ([0] * 4, {"Benign"}, "")


@pytest.mark.parametrize(
    ("left", "right", "pathology", "decided", "why"),
    [
        (True, True, ("", ""), None, "both breasts are annotated"),
        (True, True, ("MALIGNANT", "BENIGN"), [1, 1, 0, 0], ""),
        (True, True, ("BENIGN_WITHOUT_CALLBACK", "BENIGN MALIGNANT"), [0, 0, 1, 1], ""),
        (True, True, ("MALIGNANT", "MALIGNANT"), [1, 1, 1, 1], ""),
        (True, True, ("MALIGNANT", ""), None, "both breasts are annotated"),
        (True, True, ("BENIGN", "BENIGN"), None, "both breasts are annotated"),
        (True, True, ("UNPROVEN", "BENIGN"), None, "both breasts are annotated"),
        (False, False, ("", ""), None, "no breast is annotated"),
        (True, False, ("BENIGN", ""), None, "benign by pathology"),
        (True, False, ("UNPROVEN", ""), [1, 1, 0, 0], ""),
    ],
)
def test_pathology_decides_or_the_case_is_left_out(left, right, pathology, decided, why):
    label, status, reason = settle(*case(left, right, left_pathology=pathology[0], right_pathology=pathology[1]))
    assert why in reason and bool(reason) == bool(why)
    assert label == (decided or [1] * 4), "an undecided case keeps what it is listed as"
    if decided is None:
        assert set(status) == {"Cancer"}


def test_a_breast_whose_images_are_missing_leaves_the_case_undecided():
    frame, label, annotated = case(True, False)
    annotated[2:] = pd.NA
    assert "missing" in settle(frame, label, annotated)[2]
    annotated[3] = False  # the other view is there and shows nothing
    assert settle(frame, label, annotated)[2] == ""
