import pytest

from mmbc.errors import StudyError
from mmbc.files import build_folder, file_digest, read_json, write_atomically, write_json


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    file = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_is_named_and_what_was_there_stays(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_atomically(file, b"old")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StudyError, match="file: could not be written .No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_json_is_read_as_written_and_faults_are_named(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"b": [1.5, None], "ä": "ö"})
    assert read_json(file) == {"b": [1.5, None], "ä": "ö"}
    assert file.read_text(encoding="utf-8").startswith('{\n "b"'), "one space of indentation, in the order given"
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, float("nan"))
    file.write_text("{")
    with pytest.raises(StudyError, match=r"a\.json: is damaged"):
        read_json(file)
    with pytest.raises(StudyError, match=r"b\.json: cannot be read"):
        read_json(tmp_path / "b.json")


def test_digests_are_of_the_bytes(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert file_digest(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "cache" / "folder"
    with pytest.raises(ZeroDivisionError), build_folder(folder) as building:
        (building / "file").write_text("half")
        raise ZeroDivisionError
    assert not list(folder.parent.iterdir())
    folder.mkdir()
    (folder / "old").write_text("incomplete")
    with build_folder(folder) as building:
        (building / "file").write_text("whole")
        assert not (folder / "file").exists()
    assert [path.name for path in folder.iterdir()] == ["file"] and len(list(folder.parent.iterdir())) == 1


def test_of_two_processes_that_build_the_same_folder_one_stays(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    with build_folder(folder) as building:
        (building / "file").write_text("ours")
        monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
        folder.mkdir()
        (folder / "file").write_text("the other's")
    assert (folder / "file").read_text() == "the other's"
