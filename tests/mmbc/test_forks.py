"""Work shared with a copy of the process: everything is done, whatever happens to the copy."""

import os
from functools import partial

import pytest

from mmbc import forks


@pytest.fixture(autouse=True)
def may_fork(monkeypatch):
    """Forking where the machine has one core, too."""
    monkeypatch.setattr(forks, "_may_fork", lambda: hasattr(os, "fork"))


def piece(folder, number, fails=lambda: False):
    if fails():
        raise ValueError(f"piece {number}")
    (folder / str(number)).write_text(str(os.getpid()))


def pieces(folder, fails=lambda: False):
    return [partial(piece, folder, number, fails) for number in range(2 * forks.FEWEST)]


def done(folder):
    return sorted(int(path.name) for path in folder.iterdir())


def test_everything_is_done_and_the_copy_does_its_share(tmp_path):
    """The copy begins with the first piece while this process is busy."""

    def until_the_copy_has_begun():
        while not (tmp_path / "0").exists() or not (tmp_path / "0").read_text():
            pass
        return "text"

    assert forks.share(pieces(tmp_path), until_the_copy_has_begun) == "text"
    assert done(tmp_path) == list(range(2 * forks.FEWEST))
    assert (tmp_path / "0").read_text() != str(os.getpid())


@pytest.mark.parametrize("ending", [lambda: os._exit(1), lambda: True], ids=["dies", "raises"])
def test_what_a_copy_leaves_undone_is_done_here(tmp_path, ending):
    here = os.getpid()
    forks.share(pieces(tmp_path, lambda: os.getpid() != here and ending()), list)
    assert done(tmp_path) == list(range(2 * forks.FEWEST))


def test_an_error_of_this_process_is_raised(tmp_path):
    with pytest.raises(ValueError, match="piece"):
        forks.share(pieces(tmp_path, lambda: True), list)
