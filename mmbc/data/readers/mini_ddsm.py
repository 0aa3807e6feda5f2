"""Mini-DDSM version 1: `{Benign,Cancer,Normal}/*.png` beside `List_*.xlsx`.

Lekamlage et al. 2020, "Mini-DDSM: Mammography-based Automatic Age Estimation", https://doi.org/10.1145/3441369.3441370.
The lists name no patient: the key is `{letter}_{case}_1` in the file name, across the three classes. Four
consecutive file indices of a class are one case; a few patients have two.
"""

import re
from pathlib import Path

import pandas as pd

from mmbc.data.cohort import Feature, Listing
from mmbc.errors import CohortError, some

STATUSES = ("Benign", "Cancer", "Normal")
COLUMNS = ("View", "fileName", "Age", "Density")
FEATURES = (Feature("age", "numeric"), Feature("density", "ordinal"))
FILE_NAME = re.compile(
    r"(?P<index>\d+)_(?P<patient_id>(?P<site>[A-D])_\d+_1)\.(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)\.LJPEG\.1_highpass\.png"
)


def recognise(folder: Path) -> bool:
    """Whether the three lists of version 1 lie in the folder."""
    return all((folder / f"List_{status}.xlsx").is_file() for status in STATUSES)


def read(folder: Path) -> Listing:
    """Read the three lists.

    Raises:
        CohortError: a list that is missing or unreadable, a column or cell that is, or a file name that does not
            follow the layout; names the file, the row and what was expected.
    """
    rows = pd.concat([_read_list(folder, status) for status in STATUSES], ignore_index=True)
    rows["case_id"] = _case_ids(rows)
    images = rows.drop(columns=["index"])
    return Listing(name="mini-ddsm-v1", images=images, features=FEATURES, notes=tuple(_notes(images)))


def _read_list(folder: Path, status: str) -> pd.DataFrame:
    file = folder / f"List_{status}.xlsx"
    try:
        listed = pd.read_excel(file, sheet_name=0, dtype={"fileName": str, "View": str})
    except FileNotFoundError:
        raise CohortError(
            f"{file}: this list is missing; version 1 has List_Benign, List_Cancer and List_Normal"
        ) from None
    except Exception as error:
        raise CohortError(f"{file}: is not a readable Excel file ({error})") from error
    absent = [column for column in COLUMNS if column not in listed.columns]
    if absent:
        raise CohortError(f"{file}: column {some(absent)} is missing; found: {some(listed.columns)}")
    names = listed["fileName"].fillna("").str.strip()
    parsed = names.str.extract(FILE_NAME.pattern + "$")
    wrong = parsed.index[parsed["index"].isna()]
    if len(wrong):
        shown = some(f"row {row + 2}: {names[row]!r}" for row in wrong)
        raise CohortError(f"{file}: fileName not of the form 12_A_0123_1.LEFT_CC.LJPEG.1_highpass.png: {shown}")
    return pd.DataFrame(
        {
            "image_id": status + "/" + names,
            "index": parsed["index"].astype(int),
            "patient_id": parsed["patient_id"],
            "breast": parsed["side"].map({"LEFT": "L", "RIGHT": "R"}),
            "view": parsed["view"],
            "status": status,
            "site": parsed["site"],
            "age": _numbers(file, listed, "Age", 15, 110),
            "density": _numbers(file, listed, "Density", 0, 4).where(lambda density: density > 0),
            "path": [folder / status / name for name in names],
        }
    )


def _numbers(file: Path, listed: pd.DataFrame, column: str, low: float, high: float) -> pd.Series:
    """Return a column as float64; empty cells are missing, anything else must be a number within [low, high]."""
    values = pd.to_numeric(listed[column], errors="coerce").astype("float64")
    wrong = listed.index[(values.isna() & listed[column].notna()) | (values < low) | (values > high)]
    if len(wrong):
        shown = some(f"row {row + 2}: {listed.loc[row, column]!r}" for row in wrong)
        raise CohortError(f"{file}: {column} must be a number from {low:g} to {high:g}: {shown}")
    return values


def _case_ids(rows: pd.DataFrame) -> pd.Series:
    """Name the case of every row; one is a block of four file indices of one class.

    Raises:
        CohortError: two patients inside one block, which the layout excludes.
    """
    block = (rows["index"] - 1) // 4
    patients = rows.groupby(["status", block])["patient_id"].nunique()
    if (patients > 1).any():
        shown = some(
            f"{status} files {4 * number + 1} to {4 * number + 4}" for status, number in patients[patients > 1].index
        )
        raise CohortError(f"four consecutive files of a class are one case, but these have two patients: {shown}")
    order = block.groupby([rows["status"], rows["patient_id"]]).rank(method="dense").astype(int)
    suffix = order.map(lambda n: "" if n == 1 else f"#{n}")
    return rows["patient_id"] + "/" + rows["status"] + suffix


def _notes(images: pd.DataFrame) -> list[str]:
    notes = ["The label is per case: the healthy opposite breast of a cancer case is labelled cancer too."]
    statuses = images.groupby("patient_id")["status"].nunique()
    several = statuses.index[statuses > 1]
    if len(several):
        notes.append(f"Patients listed under more than one status, kept as one group each: {some(several)}.")
    cases = images.groupby("patient_id")["case_id"].nunique()
    if (cases > 1).any():
        notes.append(f"{int((cases > 1).sum())} patients have two cases.")
    unknown = int(images["density"].isna().sum())
    if unknown:
        notes.append(f"Density is 0 (unknown) in {unknown} rows and treated as missing.")
    by_site = pd.crosstab(images["site"], images["status"])
    empty = [
        f"no {status} image has the letter {site}" for site, row in by_site.iterrows() for status in row.index[row == 0]
    ]
    if empty:
        notes.append(f"The letter (digitiser or site) is confounded with the status: {'; '.join(empty)}.")
    return notes
