"""Paths of the images of a table: where each file lies, what it is called, and masks that are no images of patients."""

import os
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from mmbc.errors import CohortError, count, some

MASK = re.compile(r"(.+?)[ _-]mask(?:[ _-]?\d+)?", re.IGNORECASE)
"""The file name of a mask of a lesion, without its ending: `benign (1)_mask`, `benign (1)_mask_1`."""
BELOW = "**"
"""Last part of a root below which images are looked for in all folders."""


def base(path: Path, root: str) -> Path:
    """Return the folder that relative paths of images begin at."""
    return path.parent / (root.removesuffix(BELOW) if _is_searched(root) else root)


def _is_searched(root: str) -> bool:
    return root == BELOW or root.endswith(f"/{BELOW}")


def places(path: Path, images: pd.Series, root: str) -> list[Path]:
    """Return the path of each image, absolute or relative to the root; a backslash separates folders too.

    Below a root that ends with `**` an image is the file of its name in whose path the folders that the table gives
    occur, in their order.

    Raises:
        CohortError: several files fit one image; names them.
    """
    start = base(path, root)
    texts = [PureWindowsPath(text).as_posix() if "\\" in text else text for text in images]
    listed = [start / text for text in texts]
    if not _is_searched(root):
        return listed
    found = files_below(start, {place.name for place in listed})
    for number, (row, place) in enumerate(zip(images.index, listed, strict=True)):
        fitting = [file for file in found[place.name] if fits(file, place, start)]
        if place not in fitting and len(fitting) > 1:
            raise CohortError(
                f"{path}: row {row}: several files could be {images[row]!r}: {some(fitting, 4)}; write the folder"
                " into the table"
            )
        listed[number] = place if place in fitting or not fitting else fitting[0]
    return listed


def files_below(folder: Path, names: set[str], *, most: float = float("inf")) -> dict[str, list[Path]]:
    """Return the files of these names in a folder and below it, by name.

    Args:
        folder: where to begin; links to other folders are not followed.
        names: of the files.
        most: entries of folders after which the search ends.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    seen = 0
    for where, folders, files in os.walk(folder):
        folders.sort()
        seen += len(folders) + len(files)
        for name in sorted(names.intersection(files)):
            found[name].append(Path(where) / name)
        if seen > most:
            break
    return found


def fits(file: Path, listed: Path, start: Path) -> bool:
    """Whether a file can be the listed one: the parts of the listed path occur in the file's, in their order."""
    if file.name != listed.name or not listed.is_relative_to(start) or not file.is_relative_to(start):
        return False
    parts = iter(file.relative_to(start).parts)
    return all(part in parts for part in listed.relative_to(start).parts)


def check_masks(path: Path, places: list[Path], rows: pd.Index) -> None:
    """Refuse masks that are listed beside their images.

    Raises:
        CohortError: there are some; names their rows.
    """
    listed = {(place.parent, place.stem) for place in places}
    masks = [
        f"row {row} ({place.name})"
        for row, place in zip(rows, places, strict=True)
        if (found := MASK.fullmatch(place.stem)) and (place.parent, found[1]) in listed
    ]
    if masks:
        raise CohortError(
            f"{path}: {count(len(masks), 'row lists a mask', 'rows list masks')} of lesions beside their images:"
            f" {some(masks, 5)}. A mask shows the"
            " answer and is no image of a patient: leave these rows out of the table"
        )


def names(places: list[Path], folder: Path) -> list[str]:
    """Return names of the images: their paths below the manifest's folder, else below the folder they share."""
    if all(place.is_relative_to(folder) for place in places):
        return [place.relative_to(folder).as_posix() for place in places]
    # one root for all, or network shares (//server) and drives (C:) beside other paths would share no folder
    rooted = [PurePosixPath("/" + place.absolute().as_posix().lstrip("/")) for place in places]
    common = PurePosixPath(os.path.commonpath([place.parent for place in rooted]))
    return [str(place.relative_to(common)) for place in rooted]
