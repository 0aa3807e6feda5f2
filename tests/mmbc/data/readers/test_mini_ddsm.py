import numpy as np
import pandas as pd
import pytest

from mmbc.config import DataConfig
from mmbc.data.cohort import assemble
from mmbc.data.readers import Source, find_source, mini_ddsm, read
from mmbc.errors import CohortError


def name(index, patient, side="LEFT", view="CC"):
    return f"{index}_{patient}.{side}_{view}.LJPEG.1_highpass.png"


def four(first, patient, age=50, density=2):
    views = [("RIGHT", "MLO"), ("LEFT", "MLO"), ("LEFT", "CC"), ("RIGHT", "CC")]
    return [["X", name(first + i, patient, *view), age, density] for i, view in enumerate(views)]


@pytest.fixture
def lists(tmp_path):
    def write(benign=None, cancer=None, normal=None):
        content = {
            "Benign": benign or four(1, "A_0001_1"),
            "Cancer": cancer or four(1, "B_0002_1"),
            "Normal": normal or four(1, "D_0003_1"),
        }
        for status, rows in content.items():
            frame = pd.DataFrame(rows, columns=list(mini_ddsm.COLUMNS_V1))
            frame.to_excel(tmp_path / f"List_{status}.xlsx", sheet_name="Sheet1", index=False)
        return tmp_path

    return write


def test_names_are_parsed(lists):
    row = mini_ddsm.read_v1(lists()).images.set_index("image_id").loc["Cancer/" + name(2, "B_0002_1", "LEFT", "MLO")]
    assert row[["patient_id", "case_id", "breast", "view", "site", "status"]].tolist() == [
        "B_0002_1",
        "B_0002_1/Cancer",
        "L",
        "MLO",
        "B",
        "Cancer",
    ]


def test_density_zero_is_missing(lists):
    listing = mini_ddsm.read_v1(lists(cancer=four(1, "B_0002_1", density=0)))
    assert listing.images.loc[listing.images["status"] == "Cancer", "density"].isna().all()
    assert any("Density is 0" in note for note in listing.notes)


def test_a_patient_with_two_cases_keeps_one_key(lists):
    listing = mini_ddsm.read_v1(lists(benign=four(1, "A_1512_1") + four(9, "A_1512_1"), cancer=four(1, "A_1512_1")))
    cases = set(listing.images.loc[listing.images["patient_id"] == "A_1512_1", "case_id"])
    assert cases == {"A_1512_1/Benign", "A_1512_1/Benign#2", "A_1512_1/Cancer"}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([["X", "nonsense.png", 50, 2]], "row 2: 'nonsense.png'"),
        ([["X", name(1, "E_0001_1"), 50, 2]], "row 2"),
        ([["X", name(1, "A_0001_1"), "old", 2]], "Age must be a number from 15 to 110: row 2: 'old'"),
        ([["X", name(1, "A_0001_1"), 50, 7]], "Density must be a number from 0 to 4: row 2"),
        ([["X", name(1, "A_0001_1"), 50, 2], ["X", name(2, "A_0002_1"), 50, 2]], "Benign files 1 to 4"),
        ([["X", name(1, "A_0001_1"), 50, 2]] * 2, "listed more than once"),
    ],
)
def test_bad_rows_are_named(lists, rows, text):
    with pytest.raises(CohortError) as error:
        assemble(mini_ddsm.read_v1(lists(benign=rows)), DataConfig(positive="Cancer"))
    assert text in str(error.value)


def test_missing_column_and_file_are_named(lists):
    folder = lists()
    pd.DataFrame({"View": [], "fileName": [], "Age": []}).to_excel(folder / "List_Benign.xlsx", index=False)
    with pytest.raises(CohortError, match=r"List_Benign.xlsx: column Density is missing"):
        mini_ddsm.read_v1(folder)
    (folder / "List_Benign.xlsx").write_text("no spreadsheet")
    with pytest.raises(CohortError, match=r"List_Benign.xlsx: is not a readable Excel file"):
        mini_ddsm.read_v1(folder)
    (folder / "List_Benign.xlsx").unlink()
    with pytest.raises(CohortError, match=r"List_Benign.xlsx: this list is missing"):
        mini_ddsm.read_v1(folder)


def test_source_recognises_forces_and_refuses(lists, tmp_path, monkeypatch):
    folder = lists()
    assert find_source(str(folder)) == find_source(f"mini-ddsm-v1:{folder}") == Source("mini-ddsm-v1", folder)
    monkeypatch.chdir(tmp_path)
    assert find_source(None).kind == find_source("phantom").kind == "phantom"
    with pytest.raises(CohortError, match="no such file or folder"):
        find_source("nowhere")
    with pytest.raises(CohortError, match="did you mean 'mini-ddsm-v2'"):
        find_source("mini-ddsm-v3:nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="no known layout"):
        find_source("empty")
    (tmp_path / "mini_ddsm").mkdir()
    for status in mini_ddsm.STATUSES:
        (tmp_path / f"List_{status}.xlsx").rename(tmp_path / "mini_ddsm" / f"List_{status}.xlsx")
    assert find_source(None).kind == "mini-ddsm-v1"


def test_full_lists(real_data):
    listing = mini_ddsm.read_v1(real_data / "mini_ddsm_v1_full_lists")
    cohort = assemble(listing, DataConfig(positive="Cancer"))
    assert len(cohort.images) == 9684 and cohort.n_patients == 2414
    assert cohort.images.groupby("status").size().to_dict() == {"Benign": 3360, "Cancer": 3596, "Normal": 2728}
    assert cohort.images.groupby("case_id").size().eq(4).all()
    assert any("A_1500_1, A_1511_1, A_1632_1" in note for note in cohort.notes)
    from sklearn.metrics import roc_auc_score

    cases = cohort.images.drop_duplicates("case_id")
    assert roc_auc_score(cases["label"], cases["age"]) == pytest.approx(0.636, abs=5e-4)
    known = cases[cases["density"].notna()]
    assert roc_auc_score(known["label"], known["density"]) == pytest.approx(0.475, abs=5e-4)


def test_phantom_needs_no_rendering_for_its_rows(tmp_path):
    data = DataConfig()
    listing = read(Source("phantom", None), data, cache=tmp_path, render=False)
    assert len(listing.images) == 480 and not list(tmp_path.rglob("*.png"))
    assert np.isfinite(listing.images["age"].dropna()).all()
