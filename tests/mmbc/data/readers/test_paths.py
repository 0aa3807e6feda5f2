"""Paths of other systems, and paths at which nothing can be opened: named or reported, never a hang or a traceback."""

from pathlib import Path

import pandas as pd
import pytest

from mmbc.config import DataConfig
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
