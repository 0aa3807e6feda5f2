import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmbc.config import DataConfig
from mmbc.data.cohort import assemble
from mmbc.data.images.facts import read_images
from mmbc.data.readers import Source, find_source, mini_ddsm
from mmbc.errors import CohortError, ImageError

SIDES = ("LEFT", "RIGHT")
VIEWS = ("CC", "MLO")


def case(status, number, letter="C", contours=(), age=60.0, density=2):
    """Return four rows of the list as distributed; `contours` names the contoured images."""
    rows = []
    for side in SIDES:
        for view in VIEWS:
            stem = f"{status}\\{number}\\{letter}_{number}_1.{side}_{view}"
            contour = f"{stem}_Mask.jpg" if f"{side}_{view}" in contours else "-"
            rows.append(
                {
                    "fullPath": f"{stem}.jpg",
                    "fileName": f"{stem}.jpg".rsplit("\\")[-1],
                    "View": view,
                    "Side": side,
                    "Status": status,
                    "Tumour_Contour": contour,
                    "Tumour_Contour2": "-",
                    "Age": age,
                    "Density": density,
                }
            )
    return rows


ROWS = [
    *case("Cancer", "0001", contours=["LEFT_CC"]),
    *case("Cancer", "0002", contours=["RIGHT_CC", "RIGHT_MLO", "LEFT_CC"], age=None),
    *case("Benign", "0003", contours=["LEFT_CC"], density=0),
    *case("Normal", "0001", letter="A"),
]


@pytest.fixture
def release(tmp_path):
    """Write a release as distributed: the list, and on request its images."""

    def write(rows=ROWS, *, images=False, suffix=".jpg", **sheet):
        frame = pd.DataFrame(rows)
        frame.to_excel(tmp_path / "DataWMask.xlsx", sheet_name=sheet.get("sheet", "Data"), index=False)
        rng = np.random.default_rng(0)
        for row in rows if images else []:
            file = tmp_path.joinpath(*row["fullPath"].split("\\")).with_suffix(suffix)
            file.parent.mkdir(parents=True, exist_ok=True)
            if suffix == ".png":
                Image.fromarray(rng.integers(0, 60000, (40, 30)).astype(np.uint16)).save(file)
            else:
                Image.fromarray(rng.integers(0, 255, (40, 30), dtype=np.uint8)).save(file)
            if row["Tumour_Contour"] != "-":
                (file.parent / row["Tumour_Contour"].rsplit("\\")[-1]).write_bytes(b"mask")
        return tmp_path

    return write


def overlay(folder, place, pathology):
    text = (
        f"TOTAL_ABNORMALITIES 1\nABNORMALITY 1\nLESION_TYPE MASS\nPATHOLOGY {pathology}\nTOTAL_OUTLINES 1 \nBOUNDARY\n1"
        " 2 # \n"
    )
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.replace("\n", "\r\n").encode())


def facts(listing, tmp_path):
    return read_images(list(listing.images["path"]), cache=tmp_path / "cache")


def test_the_list_is_read(release):
    folder = release()
    assert find_source(str(folder)) == Source("mini-ddsm-v2", folder)
    assert find_source(str(folder / "DataWMask.xlsx")).kind == "mini-ddsm-v2"
    listing = mini_ddsm.read_v2(folder)
    images = listing.images.set_index("image_id")
    row = images.loc["Cancer/0001/C_0001_1.LEFT_CC.jpg"]
    assert (row["patient_id"], row["case_id"], row["breast"], row["view"], row["site"]) == (
        "C_0001_1",
        "C_0001_1/Cancer",
        "L",
        "CC",
        "C",
    )
    assert images["patient_id"].nunique() == 4, "number 0001 of letter A and of letter C are two women"
    assert images.loc["Cancer/0002/C_0002_1.LEFT_CC.jpg", ["age"]].isna().all()
    assert images.loc["Benign/0003/C_0003_1.LEFT_CC.jpg", ["density"]].isna().all()
    assert images["annotated"].sum() == 5
    cohort = assemble(listing, DataConfig())
    assert len(cohort.images) == 16 and cohort.positive == ("Cancer",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fullPath": "Cancer/0001"}, r"fullPath must be of the form.*row 2: 'Cancer/0001'"),
        ({"Side": "RIGHT"}, r"Side contradicts fullPath: row 2: 'RIGHT'"),
        ({"Status": "Benign"}, r"Status contradicts fullPath: row 2"),
        ({"Age": "old"}, r"Age must be a number from 15 to 110: row 2: 'old'"),
        ({"Density": 7}, r"Density must be a number from 0 to 4: row 2: 7"),
    ],
)
def test_cells_that_do_not_fit_are_named(release, change, message):
    with pytest.raises(CohortError, match=message):
        mini_ddsm.read_v2(release([ROWS[0] | change, *ROWS[1:]]))


def test_a_list_that_is_none(release, tmp_path):
    with pytest.raises(CohortError, match="sheet 'Data'"):
        mini_ddsm.read_v2(release(sheet="Sheet1"))
    with pytest.raises(CohortError, match="column Age is missing"):
        mini_ddsm.read_v2(release([{k: v for k, v in row.items() if k != "Age"} for row in ROWS]))


def test_masks_and_strays_are_no_images(release, tmp_path):
    folder = release(images=True)
    (folder / "Cancer" / "0001" / "extra.jpg").write_bytes(b"stray")
    overlay(folder, "Cancer/0001/C_0001_1.LEFT_CC.OVERLAY", "MALIGNANT")
    listing = mini_ddsm.read_v2(folder)
    assert any(
        "16 of the listed images are here (jpeg-8), with 5 masks and 1 .OVERLAY" in note for note in listing.notes
    )
    assert any("1 image is not listed and not used: extra.jpg" in note for note in listing.notes)
    assert len(assemble(listing, DataConfig(), facts=facts(listing, tmp_path)).images) == 16


def test_png_of_16_bits(release, tmp_path):
    listing = mini_ddsm.read_v2(release(images=True, suffix=".png"))
    assert all(path.suffix == ".png" for path in listing.images["path"])
    found = facts(listing, tmp_path)
    assert (found["error"] == "").all() and found["mode"].str.startswith("I").all()


def test_a_partial_download(release, tmp_path):
    folder = release(images=True)
    (folder / "Cancer" / "0002" / "C_0002_1.LEFT_CC.jpg").unlink()
    listing = mini_ddsm.read_v2(folder)
    with pytest.raises(
        ImageError, match=r"1 of 16 listed images are missing: C_0002_1.LEFT_CC.jpg.*--allow-missing-images"
    ):
        assemble(listing, DataConfig(), facts=facts(listing, tmp_path))
    cohort = assemble(listing, DataConfig(), facts=facts(listing, tmp_path), allow_missing=True)
    assert cohort.flow.query("step == 'missing'")["n_images"].sum() == 1
    # the files of a class that is not compared are not needed
    (folder / "Normal" / "0001" / "A_0001_1.LEFT_CC.jpg").unlink()
    (folder / "Cancer" / "0002" / "C_0002_1.LEFT_CC.jpg").write_bytes(
        (folder / "Cancer" / "0002" / "C_0002_1.RIGHT_CC.jpg").read_bytes()
    )
    listing = mini_ddsm.read_v2(folder)
    cohort = assemble(listing, DataConfig(negative="Benign"), facts=facts(listing, tmp_path))
    assert cohort.flow.query("step == 'other class'")["n_images"].sum() == 4
    assert set(cohort.images["status"]) == {"Cancer", "Benign"}


def test_labels_per_breast_come_from_contours_joined_over_views(release):
    folder = release()
    cohort = assemble(mini_ddsm.read_v2(folder), DataConfig(label_level="breast"))
    labels = cohort.images.set_index("image_id")["label"]
    assert labels["Cancer/0001/C_0001_1.LEFT_MLO.jpg"] == 1, "contoured in the other view only"
    assert labels.sum() == 2
    undecided = cohort.excluded[cohort.excluded["step"] == "undecided"]
    assert set(undecided["patient_id"]) == {"C_0002_1"}
    assert any("1 case (both breasts are annotated" in note for note in cohort.notes)
    overlay(folder, "Cancer/0002/C_0002_1.LEFT_CC.OVERLAY", "BENIGN")
    overlay(folder, "Cancer/0002/C_0002_1.RIGHT_MLO.OVERLAY", "MALIGNANT")
    decided = assemble(mini_ddsm.read_v2(folder), DataConfig(label_level="breast"))
    chosen = decided.images[decided.images["patient_id"] == "C_0002_1"].set_index("breast")["label"]
    assert chosen.groupby("breast").first().to_dict() == {"L": 0, "R": 1}


def test_opposite_breasts_are_compared_unless_other_negatives_are_named(release):
    listing = mini_ddsm.read_v2(release())

    def negatives(*names):
        cohort = assemble(listing, DataConfig(label_level="breast", negative=names))
        return set(cohort.images.loc[cohort.images["label"] == 0, "status"])

    assert negatives() == {"Benign", "Normal", "Contralateral"}
    assert negatives("Benign") == {"Benign"}
    assert negatives("Benign", "Contralateral") == {"Benign", "Contralateral"}
    assert negatives("Contralateral") == {"Contralateral"}
    with pytest.raises(CohortError, match="no negative image has the label 'Contralateral'"):
        assemble(listing, DataConfig(negative="Contralateral"))


def test_the_real_list(real_data):
    listing = mini_ddsm.read_v2(real_data / "MINI-DDSM-Complete-JPEG-8")
    by_case = assemble(listing, DataConfig())
    assert len(by_case.images) == 7808 and by_case.n_patients == 1952
    assert by_case.images["age"].isna().sum() == 12
    by_breast = assemble(listing, DataConfig(label_level="breast"))
    assert by_breast.excluded.groupby("step")["image_id"].size().to_dict() == {"undecided": 4 * 61}
    breasts = by_breast.images.drop_duplicates(["case_id", "breast"])
    assert breasts["label"].sum() == 679 - 61
    assert (breasts["status"] == "Contralateral").sum() == 679 - 61


def test_the_real_images_of_version_1_tell_the_breast(real_v1, tmp_path):
    listing = mini_ddsm.read_v1(real_v1)
    data = DataConfig(label_level="breast")
    cohort = assemble(listing, data, facts=facts(listing, tmp_path))
    breasts = cohort.images.drop_duplicates(["case_id", "breast"])
    assert breasts["label"].sum() == 94 and (breasts["status"] == "Contralateral").sum() == 94
    assert (cohort.excluded["step"] == "undecided").sum() == 28
    for outlines in ("inpaint", "keep"):
        with pytest.raises(CohortError, match=f"the outline in the pixels is the label.*{outlines}.*--outlines sham"):
            assemble(listing, DataConfig(label_level="breast", outlines=outlines), facts=facts(listing, tmp_path))
