"""Storage of trials: SQLite beside the study, a database server, or a journal file on a network disk."""

import importlib.util
import json
import random
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mmbc.errors import ConfigError, MmbcError, StudyError
from study.design.search_results import FOLDER

DATABASE = "trials.db"
"""Default storage, a file in the folder of the search."""
JOURNAL = "journal:"
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
"""Kind of server, which is also the extra that installs its driver -> the driver used unless the URL names another."""
ATTEMPTS = 5
"""Two processes that create the tables of an empty database at once can trip over each other; the loser tries again."""
SQLITE_WAIT = 60
"""Seconds that a process waits for another one's write."""


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Open the storage of a search.

    Args:
        url: `postgresql://...`, `mysql://...`, `sqlite:///FILE`, `journal:FILE`, or None for an SQLite file in
            `folder`.
        folder: of the search.

    Raises:
        ConfigError: no such kind of storage, or its driver is not installed.
        StudyError: it cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(folder / DATABASE).resolve()}"
    if url.startswith(JOURNAL):
        path = Path(url.removeprefix(JOURNAL))
        if not path.parent.is_dir():
            raise StudyError(f"--storage {url}: there is no folder {path.parent}")
        try:
            _check_lines(path)
            return JournalStorage(JournalFileBackend(str(path)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StudyError(
                f"--storage {url}: is not a journal of Optuna, or is damaged; name another file"
            ) from error
    return _connected(_with_driver(url))


def _check_lines(path: Path) -> None:
    """Read every finished line of a journal: Optuna forgives the last one, and fails once another follows it."""
    if path.is_file():
        with path.open("rb") as lines:
            for line in lines:
                json.loads(line if line.endswith(b"\n") else "{}")


def open_own_storage(folder: Path, url: str | None) -> BaseStorage:
    """Open the storage of a study that has been begun, for the dashboard.

    Raises:
        MmbcError: there is no search.
    """
    if url is None and not (folder / FOLDER / DATABASE).exists():
        raise MmbcError(f"{folder}: has no search of its own to show; name one (--name) or the --storage that was used")
    return open_storage(url, folder / FOLDER)


def artifacts_folder(folder: Path) -> Path:
    """Return where the files lie that the dashboard shows of a study."""
    return folder / FOLDER / "artifacts"


def close_storage(storage: BaseStorage) -> None:
    """Give the connections of a storage back."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def _with_driver(url: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            f"--storage {url!r}: is not an address; write postgresql://USER:PASSWORD@HOST/DATABASE, mysql://..., "
            "sqlite:///FILE or journal:FILE"
        ) from None
    kind, _, driver = parsed.drivername.partition("+")
    if kind not in (*DRIVERS, "sqlite"):
        raise ConfigError(
            f"--storage: a {kind!r} database is not supported; use postgresql, mysql, sqlite or journal:FILE"
        )
    if not driver and kind in DRIVERS:
        if importlib.util.find_spec(DRIVERS[kind]) is None:
            raise ConfigError(
                f"--storage: {DRIVERS[kind]}, the driver for {kind}, is not installed: pip install 'mmbc[{kind}]'"
            )
        parsed = parsed.set(drivername=f"{kind}+{DRIVERS[kind]}")
    return parsed.render_as_string(hide_password=False)


def _connected(url: str) -> RDBStorage:
    sqlite = make_url(url).get_backend_name() == "sqlite"
    options: dict[str, Any] = {"connect_args": {"timeout": SQLITE_WAIT}} if sqlite else {"pool_pre_ping": True}
    for attempt in range(ATTEMPTS):
        try:
            storage = RDBStorage(url, engine_kwargs=options)
            if sqlite:
                event.listen(storage.engine, "connect", _quick)
                storage.engine.dispose()  # those that are open already were opened without it
            return storage
        except SQLAlchemyError as error:
            if attempt + 1 == ATTEMPTS:
                reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
                raise StudyError(f"--storage {hide_password(url)}: cannot be used ({reason})") from None
            time.sleep(0.2 + random.random())
    raise AssertionError


def _quick(connection: Any, _: object) -> None:
    """Have SQLite write ahead: a commit then waits for no disk, and only a power failure can lose the last ones."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def hide_password(url: str | None) -> str:
    """Return an address without its password, for what is printed and kept."""
    if url is None or url.startswith(JOURNAL):
        return url or ""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
