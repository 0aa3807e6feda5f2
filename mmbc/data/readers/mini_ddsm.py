"""Mini-DDSM, versions 1 and 2, as distributed.

Lekamlage et al. 2020, "Mini-DDSM: Mammography-based Automatic Age Estimation", https://doi.org/10.1145/3441369.3441370.

Version 1: `{Benign,Cancer,Normal}/*.png` beside `List_*.xlsx`. The lists name no patient: the key is
`{letter}_{case}_1` in the file name, across the three classes. Four consecutive file indices of a class are one case; a
few patients have two. Lesion outlines are burned into the pixels.

Version 2 (JPEG of 8 bits or PNG of 16): `{Status}/{number}/{letter}_{number}_1.{SIDE}_{VIEW}.jpg` beside masks, `.ics`
and `.OVERLAY` files; `DataWMask.xlsx` lists them with Windows separators. The patient is letter and number: numbers
alone repeat between letters.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

import pandas as pd

from mmbc.data.listing import Listing
from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError, count, some

STATUSES = ("Benign", "Cancer", "Normal")
POSITIVE = ("Cancer",)
FEATURES = (Feature("age", "numeric"), Feature("density", "ordinal"))
BREAST = {"LEFT": "L", "RIGHT": "R"}

COLUMNS_V1 = ("View", "fileName", "Age", "Density")
FILE_NAME_V1 = re.compile(
    r"(?P<index>\d+)_(?P<patient_id>(?P<site>[A-D])_\d+_1)\.(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)"
    r"\.LJPEG\.1_highpass\.png"
)

LIST_V2 = "DataWMask.xlsx"
SHEET_V2 = "Data"
COLUMNS_V2 = ("fullPath", "View", "Side", "Status", "Tumour_Contour", "Tumour_Contour2", "Age", "Density")
FILE_NAME_V2 = re.compile(r"(?P<patient_id>(?P<site>[A-D])_\d+_1)\.(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)\.(?:jpg|png)")
PATHOLOGY = re.compile(rb"^PATHOLOGY\s+(\S+)", re.MULTILINE)
NO_CONTOUR = ("", "-")


def recognise_v1(folder: Path) -> bool:
    """Whether the three lists of version 1 lie in the folder."""
    return all((folder / f"List_{status}.xlsx").is_file() for status in STATUSES)


def recognise_v2(path: Path) -> bool:
    """Whether the list of version 2 lies in the folder, or is the path itself."""
    return (path / LIST_V2).is_file() or (path.is_file() and path.name == LIST_V2)


def read_v1(folder: Path, *_: object) -> Listing:
    """Read the three lists of version 1; the layout leaves nothing to settings.

    Raises:
        CohortError: a list, a column or a cell that is missing or unreadable, or a file name that does not follow the
            layout; names the file, the row and what was expected.
    """
    rows = pd.concat([_read_list(folder, status) for status in STATUSES], ignore_index=True)
    rows["case_id"] = _case_ids(rows)
    images = rows.drop(columns=["index"])
    return Listing(
        name="mini-ddsm-v1",
        images=images,
        features=FEATURES,
        positive=POSITIVE,
        sides="pixels",
        unknown_codes=_unknown(images),
        notes=tuple(_notes(images)),
    )


def read_v2(path: Path, *_: object) -> Listing:
    """Read the list of version 2 and the files beside it; the layout leaves nothing to settings.

    The list tells images from masks, `.ics` and `.OVERLAY` files. Where the list names JPEG files and the folder holds
    PNG files, or the other way round, the folder decides.

    Raises:
        CohortError: a list, a column or a cell that is missing or unreadable, or a path that does not follow the
            layout or contradicts its row; names the file, the row and what was expected.
    """
    file = path if path.is_file() else path / LIST_V2
    folder = file.parent
    listed = _excel(file, SHEET_V2, COLUMNS_V2)
    paths = listed["fullPath"].fillna("").astype(str).str.strip().map(lambda text: PureWindowsPath(text).parts)
    names = paths.map(lambda parts: parts[-1] if parts else "")
    parsed = names.str.extract(FILE_NAME_V2.pattern + "$")
    _refuse(
        file,
        listed,
        parsed["site"].isna() | (paths.map(len) != 3),
        "fullPath",
        r"must be of the form Benign\0029\C_0029_1.LEFT_CC.jpg",
    )
    for column, told in (("Side", parsed["side"]), ("View", parsed["view"]), ("Status", paths.str[0])):
        _refuse(file, listed, listed[column].astype(str).str.strip() != told, column, "contradicts fullPath")
    present = _files(folder, paths.str[0].unique())
    where = [_resolved(parts, present) for parts in paths]
    contours = [listed[column].fillna("").astype(str).str.strip() for column in ("Tumour_Contour", "Tumour_Contour2")]
    images = pd.DataFrame(
        {
            "image_id": paths.map("/".join),
            "patient_id": parsed["patient_id"],
            "case_id": parsed["patient_id"] + "/" + paths.str[0],
            "breast": parsed["side"].map(BREAST),
            "view": parsed["view"],
            "status": paths.str[0],
            "site": parsed["site"],
            "age": _numbers(file, listed, "Age", 15, 110),
            "density": _numbers(file, listed, "Density", 0, 4).where(lambda density: density > 0),
            "path": [folder.joinpath(*parts) for parts in where],
            "annotated": ~(contours[0].isin(NO_CONTOUR) & contours[1].isin(NO_CONTOUR)),
            "pathology": [_pathology(folder, parts, present) for parts in where],
            "row": listed.index + 2,
        }
    )
    kind = "png-16" if any(parts[-1].endswith(".png") for parts in where) else "jpeg-8"
    beside = _notes_v2(present, set(where), kind)
    return Listing(
        name="mini-ddsm-v2",
        images=images,
        features=FEATURES,
        positive=POSITIVE,
        sides="listed",
        unknown_codes=_unknown(images),
        notes=(*_notes(images), *beside),
    )


def _files(folder: Path, statuses: Iterable[str]) -> set[tuple[str, ...]]:
    """Return every file below the folders of the statuses, as (status, number, name)."""
    files = set()
    for status in statuses:
        if (folder / status).is_dir():
            for place, _, names in os.walk(folder / status):
                files |= {(*Path(place).relative_to(folder).parts, name) for name in names}
    return files


def _resolved(parts: tuple[str, ...], present: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the listed path, or that of the same image in the other format where only that one is there."""
    stem, _, suffix = parts[-1].rpartition(".")
    other = (*parts[:-1], f"{stem}.{'png' if suffix == 'jpg' else 'jpg'}")
    return other if parts not in present and other in present else parts


def _pathology(folder: Path, parts: tuple[str, ...], present: set[tuple[str, ...]]) -> str:
    """Return the pathologies that the image's `.OVERLAY` file names, in upper case; empty without one."""
    overlay = (*parts[:-1], f"{parts[-1].rpartition('.')[0]}.OVERLAY")
    if overlay not in present:
        return ""
    content = folder.joinpath(*overlay).read_bytes()
    return " ".join(sorted({word.decode("ascii", "replace").upper() for word in PATHOLOGY.findall(content)}))


def _notes_v2(present: set[tuple[str, ...]], listed: set[tuple[str, ...]], kind: str) -> list[str]:
    """Return notes on the files that lie beside the listed images."""
    names = [parts[-1] for parts in present - listed]
    masks = sum("_mask" in name.lower() for name in names)
    overlays = sum(name.endswith(".OVERLAY") for name in names)
    stray = [name for name in names if name.lower().endswith((".jpg", ".png")) and "_mask" not in name.lower()]
    notes = [
        f"{len(present & listed)} of the listed images are here ({kind}), with {masks} masks and {overlays} .OVERLAY"
        " files."
    ]
    if stray:
        are = "image is" if len(stray) == 1 else "images are"
        notes.append(f"{len(stray)} {are} not listed and not used: {some(sorted(stray), 5)}.")
    return notes


def _excel(file: Path, sheet: str | int, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a sheet and check that it has these columns."""
    try:
        listed = pd.read_excel(file, sheet_name=sheet)
    except FileNotFoundError:
        raise CohortError(
            f"{file}: this list is missing; version 1 has List_Benign, List_Cancer and List_Normal"
        ) from None
    except Exception as error:
        raise CohortError(f"{file}: is not a readable Excel file with the sheet {sheet!r} ({error})") from error
    absent = [column for column in columns if column not in listed.columns]
    if absent:
        raise CohortError(f"{file}: column {some(absent)} is missing; found: {some(listed.columns)}")
    return listed


def _refuse(file: Path, listed: pd.DataFrame, wrong: pd.Series, column: str, what: str) -> None:
    if wrong.any():
        shown = some(f"row {row + 2}: {value!r}" for row, value in listed.loc[wrong, column].astype(object).items())
        raise CohortError(f"{file}: {column} {what}: {shown}")


def _read_list(folder: Path, status: str) -> pd.DataFrame:
    file = folder / f"List_{status}.xlsx"
    listed = _excel(file, 0, COLUMNS_V1)
    names = listed["fileName"].fillna("").astype(str).str.strip()
    parsed = names.str.extract(FILE_NAME_V1.pattern + "$")
    _refuse(
        file, listed, parsed["index"].isna(), "fileName", "must be of the form 12_A_0123_1.LEFT_CC.LJPEG.1_highpass.png"
    )
    return pd.DataFrame(
        {
            "image_id": status + "/" + names,
            "index": parsed["index"].astype(int),
            "patient_id": parsed["patient_id"],
            "breast": parsed["side"].map(BREAST),
            "view": parsed["view"],
            "status": status,
            "site": parsed["site"],
            "age": _numbers(file, listed, "Age", 15, 110),
            "density": _numbers(file, listed, "Density", 0, 4).where(lambda density: density > 0),
            "path": [folder / status / name for name in names],
        }
    )


def _numbers(file: Path, listed: pd.DataFrame, column: str, low: float, high: float) -> pd.Series:
    """Return a column as float64; empty cells and `-` are missing, all others must be numbers within [low, high]."""
    values = pd.to_numeric(listed[column], errors="coerce").astype("float64")
    given = listed[column].notna() & (listed[column].astype(str).str.strip() != "-")
    wrong = (values.isna() & given) | (values < low) | (values > high)
    _refuse(file, listed, wrong, column, f"must be a number from {low:g} to {high:g}")
    return values


def _case_ids(rows: pd.DataFrame) -> pd.Series:
    """Return the case of every row: a block of four file indices of one class.

    Raises:
        CohortError: two patients in one block, which the layout excludes.
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


def _unknown(images: pd.DataFrame) -> tuple[tuple[str, str, int], ...]:
    """Return the values taken as 'not known': density 0, which is no BI-RADS category."""
    n = int(images["density"].isna().sum())
    return (("density", "0", n),) if n else ()


def _notes(images: pd.DataFrame) -> list[str]:
    notes = [
        "As distributed, the status is per case: the healthy opposite breast of a cancer case is listed as cancer too."
    ]
    statuses = images.groupby("patient_id")["status"].nunique()
    several = statuses.index[statuses > 1]
    if len(several):
        notes.append(f"Patients listed under more than one status, kept as one group each: {some(several)}.")
    cases = images.groupby("patient_id")["case_id"].nunique()
    if (cases > 1).any():
        notes.append(f"{count(int((cases > 1).sum()), 'patient has', 'patients have')} two cases.")
    notes += [
        f"Density is {code} (unknown) in {count(n, 'row')} and treated as missing." for _, code, n in _unknown(images)
    ]
    by_site = pd.crosstab(images["site"], images["status"])
    empty = [
        f"no {status} image has the letter {site}" for site, row in by_site.iterrows() for status in row.index[row == 0]
    ]
    if empty:
        notes.append(f"The letter (digitiser or site) is confounded with the status: {'; '.join(empty)}.")
    return notes
