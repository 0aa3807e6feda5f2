import os

import pytest
from typer.testing import CliRunner

from mmbc import cache
from mmbc.errors import StudyError
from study import cache as command

MIB = 2**20


def kept(folder, name, *, size=MIB, used=0):
    file = folder / "features" / f"clean-{name}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    os.utime(file, (used, used))
    return file


def test_the_longest_unused_features_make_room(tmp_path):
    old, new = kept(tmp_path, "old", used=1), kept(tmp_path, "new", used=2)
    cache.make_room(tmp_path, MIB, 3 * MIB / cache.GIB)
    assert old.exists() and new.exists(), "there is room for three"
    cache.make_room(tmp_path, MIB, 2 * MIB / cache.GIB)
    assert not old.exists() and new.exists()


def test_features_larger_than_the_limit_or_the_disk_are_refused(tmp_path, monkeypatch):
    with pytest.raises(StudyError, match=r"2.0 GiB, more than the limit of 1 GiB; raise it .--cache-gib 3"):
        cache.make_room(tmp_path, 2 * cache.GIB, 1)
    usage = type("Usage", (), {"free": MIB})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    file = kept(tmp_path, "old")
    with pytest.raises(StudyError, match=r"take 0.5 GiB, the disk has 0.0 GiB left"):
        cache.make_room(tmp_path / "not" / "there", cache.GIB // 2, 1)
    assert file.exists()


def test_the_command_shows_and_clears(tmp_path):
    place = tmp_path / ".cache"
    kept(place, "old", used=1)
    kept(place, "new", used=2)
    (place / "pixels" / "abc").mkdir(parents=True)
    (place / "pixels" / "abc" / "pixels.u8").write_bytes(bytes(MIB))
    (place / "facts-1.parquet").write_bytes(bytes(10))
    kinds = {entry.kind: entry.n_bytes for entry in cache.entries(place)}
    assert kinds == {"features": MIB, "pixels": MIB, "facts": 10}

    def run(*arguments):
        return CliRunner().invoke(command.app, ["--out", str(tmp_path), *arguments])

    assert run().exit_code == 0 and len(cache.entries(place)) == 4
    assert "deleted: 1 entries" in run("--clear", "pixels").output
    assert run("--keep-gib", str(1.5 * MIB / cache.GIB)).exit_code == 0
    assert [entry.path.name for entry in cache.entries(place) if entry.kind == "features"] == ["clean-new.npy"]
    assert "did you mean 'features'" in run("--clear", "feature").output
    assert run("--clear", "all").exit_code == 0 and not cache.entries(place)


def test_every_kind_of_entry_is_shown():
    assert set(command.MEANING) == {kind if kind != "." else "facts" for kind in cache.KINDS}
