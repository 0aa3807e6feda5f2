"""Documents: frozen models that are kept as JSON files and read and write themselves."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from mmbc import __version__
from mmbc.errors import MmbcError, StudyError
from mmbc.files import RESTORE, read_json, write_json


class Document(BaseModel):
    """A frozen model that is kept as JSON.

    It is written with the keys it was given, in their order, so that a file that is read and written again keeps its
    bytes: a field that was not given has its default and is not written, and keys that are no fields are kept.

    Attributes:
        FORMAT: number of the file format. Files of format 1 do not say so; later ones carry `format`, and `mmbc`, the
            version of the program that wrote them. A format later than the reader's is refused.
        ERROR: what is raised for values that are not as declared.
    """

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    FORMAT: ClassVar[int] = 1
    ERROR: ClassVar[type[MmbcError]] = StudyError
    _keys: tuple[str, ...] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _with_keys(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        document = handler(values)
        if isinstance(values, Mapping):
            document._keys = tuple(map(str, values))
        return document

    @classmethod
    def of(cls, values: Any, where: str) -> Self:
        """Return the document with these plain values.

        Raises:
            MmbcError: of the kind `ERROR`, which begins with `where` and names the key; StudyError for a later format.
        """
        cls._check_format(values, where)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "value_error":
                raise cls.ERROR(f"{where}: {first['ctx']['error']}") from None
            key = ".".join(map(str, first["loc"])) or cls.__name__
            raise cls.ERROR(
                f"{where}: {key}: {first['msg'].replace('tuple', 'list')} (got {first['input']!r:.80})"
            ) from None

    @classmethod
    def _check_format(cls, values: Any, where: str) -> None:
        if isinstance(values, Mapping) and isinstance(values.get("format"), int) and values["format"] > cls.FORMAT:
            raise StudyError(
                f"{where}: has format {values['format']} and was written by mmbc {values.get('mmbc', '(unknown)')}; "
                f"this is mmbc {__version__}, which reads formats up to {cls.FORMAT}: use that version or a later one"
            )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote; see `of`.

        Raises:
            StudyError: it is missing or torn.
        """
        values = read_json(path)
        cls._check_format(values, str(path))
        if values == {}:
            raise cls.ERROR(f"{path}: is damaged: it is empty; {RESTORE}")
        try:
            return cls.of(values, f"{path}: is damaged")
        except cls.ERROR as error:
            raise cls.ERROR(f"{error}; {RESTORE}") from None

    def write(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        head = {"format": self.FORMAT, "mmbc": __version__} if self.FORMAT > 1 else {}
        write_json(path, head | self.plain())

    def changed(self, **changes: object) -> Self:
        """Return it with other values, validated again; keys that it did not have come last."""
        return type(self)(**(self._given() | changes))

    def without(self, *keys: str) -> Self:
        """Return it without some keys."""
        return type(self)(**{key: value for key, value in self._given().items() if key not in keys})

    def plain(self) -> dict[str, Any]:
        """Return the values as JSON knows them."""
        return {key: _plain(value) for key, value in self._given().items()}

    def _given(self) -> dict[str, Any]:
        values = {**self.__dict__, **(self.__pydantic_extra__ or {})}
        return {key: values[key] for key in self._keys}


def _plain(value: Any) -> Any:
    if isinstance(value, Document):
        return value.plain()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
