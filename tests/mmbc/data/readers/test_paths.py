"""Paths of other systems, and paths at which nothing can be opened: named or reported, never a hang or a traceback."""

import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmbc.config import DataConfig
from mmbc.data import absent_files
from mmbc.data.cohort import assemble
from mmbc.data.images.facts import read_images
from mmbc.data.readers import find_source, manifest
from mmbc.errors import CohortError, MmbcError


def listing_of(folder: Path, frame: pd.DataFrame):
    frame.to_csv(folder / "made.csv", index=False)
    return manifest.read(folder / "made.csv", DataConfig())


SHARE, LONG = "//srv/share/a.png", "x" * 300 + ".png"


@pytest.mark.parametrize(
    ("places", "ids"),
    [
        ([SHARE, "b.png"], ["srv/share/a.png", "b.png"]),
        ([SHARE, "//srv/share/sub/b.png"], ["a.png", "sub/b.png"]),
        (["\\\\srv\\share\\a.png", "/scans/b.png"], ["srv/share/a.png", "scans/b.png"]),
        (["C:\\scans\\a.png", "D:/scans/b.png"], ["C:/scans/a.png", "D:/scans/b.png"]),
        (["/scans/x/a.png", "/scans/y/b.png"], ["x/a.png", "y/b.png"]),
        (["/a.png", "b.png"], ["a.png", "b.png"]),
    ],
)
@pytest.mark.timeout(20)
def test_paths_of_other_systems_and_roots_have_names(tmp_path, places, ids):
    frame = pd.DataFrame({"image": places, "patient_id": ["P1", "P2"], "label": [0, 1]})
    listed = listing_of(tmp_path, frame).images["image_id"].tolist()
    assert all(name.endswith(end) for name, end in zip(listed, ids, strict=True)), listed


@pytest.mark.timeout(60)
def test_paths_at_which_nothing_can_be_opened_are_reported(tmp_path):
    for one, other in (("loop.png", "pool.png"), ("pool.png", "loop.png")):
        (tmp_path / one).symlink_to(tmp_path / other)
    paths = [tmp_path / "loop.png", tmp_path / LONG, tmp_path / "a\0.png", tmp_path, tmp_path / "loop.png/a.png"]
    errors = read_images([Path(SHARE), *paths], cache=tmp_path / "c")["error"].tolist()
    assert errors[0] == "missing" and all(error.startswith("cannot be opened: ") for error in errors[1:]), errors
    frame = pd.DataFrame({"image": [SHARE, "C:\\b.png"], "patient_id": ["P1", "P2"], "label": [0, 1]})
    listing = listing_of(tmp_path, frame)
    facts = read_images(list(listing.images["path"]), cache=tmp_path / "c")
    with pytest.raises(MmbcError, match="//srv/share/a.png") as error:
        assemble(listing, DataConfig(), facts=facts)
    assert "--set data.image_root=FOLDER" in str(error.value)


@pytest.mark.parametrize("name", [LONG, "loop.png", "a\0b", SHARE])
def test_data_at_which_nothing_can_be_opened(tmp_path, name):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(CohortError, match=r"--data .*(no such file|cannot be opened)"):
        find_source(str(tmp_path / name))


def missing(folder, places, **data):
    """The error on a table of these images, of which no file lies where the table says."""
    frame = pd.DataFrame({"image": places, "patient_id": [f"P{n}" for n in range(len(places))]})
    frame.assign(label=[n % 2 for n in range(len(places))]).to_csv(folder / "made.csv", index=False)
    listing = manifest.read(folder / "made.csv", DataConfig(**data))
    facts = read_images(list(listing.images["path"]), cache=folder / "c")
    try:
        return [path.name for path in assemble(listing, DataConfig(**data), facts=facts).images["path"]], listing
    except MmbcError as error:
        return str(error), listing


def put(folder, *places):
    for number, place in enumerate(places):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number + 1).save(folder / place)


@pytest.mark.parametrize(("files", "root"), [(["img/a.png", "img/b.png"], "img"), (["x/P0/a.png", "x/P1/b.png"], "**")])
def test_images_in_subfolders_are_found_and_read_with_the_option_that_the_error_names(tmp_path, files, root):
    put(tmp_path, *files)
    said, _ = missing(tmp_path, ["a.png", "b.png"])
    option = f"--set data.image_root={tmp_path / root}"
    assert f"a.png lies at {tmp_path / files[0]}" in said and option in said.replace("'", ""), said
    names, listing = missing(tmp_path, ["a.png", "b.png"], image_root=option.split("=")[1])
    assert names == ["a.png", "b.png"] and list(listing.images["path"]) == [tmp_path / file for file in files]
    relative, _ = missing(tmp_path, ["a.png", "b.png"], image_root="**")
    assert relative == names


def test_folders_that_the_table_gives_are_kept_and_doubtful_names_are_refused(tmp_path):
    put(tmp_path, "scans/P0/old/1.png", "scans/P1/old/1.png")
    names, listing = missing(tmp_path, ["P0/1.png", "P1/1.png"], image_root="scans/**")
    assert listing.images["image_id"].tolist() == ["scans/P0/old/1.png", "scans/P1/old/1.png"] and len(names) == 2
    said, _ = missing(tmp_path, ["P0/1.png", "P2/1.png"], image_root="**")
    assert "1 of 2 listed images are missing" in said, "another patient's file of that name is never taken"
    assert "A file of that name lies elsewhere" in said
    with pytest.raises(CohortError, match=r"row 2: several files could be '1.png': .*write the folder into"):
        missing(tmp_path, ["1.png", "x.png"], image_root="**")
    said, _ = missing(tmp_path, ["1.png", "x.png"])
    assert "where several files have one name, write the folder into the table" in said


def test_a_search_for_missing_images_ends(tmp_path, monkeypatch):
    put(tmp_path, "a/0.png", "b/1.png")
    monkeypatch.setattr(absent_files, "MOST_ENTRIES", 0)
    assert "lies at" not in missing(tmp_path, ["1.png", "x.png"])[0]


@pytest.mark.timeout(20)
def test_pipes_and_devices_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    errors = read_images([tmp_path / "pipe.png", Path("/dev/zero"), Path("/dev/null")], cache=tmp_path / "c")["error"]
    assert set(errors) == {"cannot be opened: it is no file"}


def test_names_in_other_letters_are_named(tmp_path):
    put(tmp_path, "a.png", "b.png")
    assert "a.png lies there: capital and small letters" in missing(tmp_path, ["A.PNG", "B.png"])[0]
