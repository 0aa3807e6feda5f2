"""Documents: the keys they were given, in their order, and nothing else; later formats are refused."""

from typing import ClassVar

import pytest
from pydantic import ValidationError

from mmbc import __version__
from mmbc.documents import Document
from mmbc.errors import StudyError
from mmbc.files import write_json


class Part(Document):
    number: int
    note: str = ""


class Whole(Document):
    title: str
    parts: tuple[Part, ...] = ()
    optional: float | None = None


class Later(Whole):
    FORMAT: ClassVar[int] = 3


VALUES = {"of_another": {"x": [1, 2.0]}, "parts": [{"note": "b", "number": 2}, {"number": 1}], "title": "ü"}


def test_a_file_keeps_its_bytes(tmp_path):
    write_json(tmp_path / "a.json", VALUES)
    document = Whole.read(tmp_path / "a.json")
    document.write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert document.plain() == VALUES and document.parts[1].note == "" and document.optional is None


def test_changes_come_in_place_or_last_and_are_validated():
    document = Whole.of(VALUES, "here")
    assert list(document.changed(parts=(), optional=1.5).plain()) == ["of_another", "parts", "title", "optional"]
    assert list(document.without("of_another").plain()) == ["parts", "title"]
    with pytest.raises(ValidationError, match="title"):
        document.changed(title=3)
    with pytest.raises(ValidationError, match="frozen"):
        document.title = "other"
    assert document.plain() == VALUES


def test_what_is_not_as_declared_is_named():
    with pytest.raises(StudyError, match=r"^here: parts\.1\.number: .*integer.* \(got 'two'\)$"):
        Whole.of({"title": "a", "parts": [{"number": 1}, {"number": "two"}]}, "here")
    with pytest.raises(StudyError, match=r"^here: title: Field required"):
        Whole.of({}, "here")
    with pytest.raises(StudyError, match=r"^here: Whole: "):
        Whole.of([1], "here")


def test_a_later_format_is_refused_by_the_version_that_wrote_it(tmp_path):
    file = tmp_path / "later.json"
    Later(title="a").write(file)
    assert Later.read(file).title == "a"
    with pytest.raises(
        StudyError, match=rf"later\.json: has format 3 and was written by mmbc {__version__}; .* up to 1"
    ):
        Whole.read(file)
    assert Later.of(VALUES, "an older file is always read").title == "ü"
