"""Many cells, one comparison: the harness, for notebooks and scripts.

    import study

    run = study.cross_validate("phantom", preset="tiny", repeats=2)   # train, or continue
    result = run.evaluate()                                           # every number, with its interval
    result.summary, result.contrasts, result.verdicts                 # frames
    result.figure("main")
    result.write("reports/mine")

    study.evaluate(frame, contrasts=[("fusion", "clinical")])         # predictions of models trained elsewhere
    study.search("phantom", preset="tiny", trials=4)
    study.audit("hospital.csv")
    study.open("results/phantom-tiny").cells[0].load()

Importing this package does no work: whatever is heavy is loaded by the first call that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import mmbc  # noqa: F401 (before torch, which many modules of study load before anything of mmbc)

if TYPE_CHECKING:
    from study.api.audits import Audited, audit
    from study.api.evaluations import evaluate
    from study.api.results import Cell, Result, Study, open
    from study.api.runs import cross_validate, search

HOMES = {
    "Audited": "study.api.audits",
    "Cell": "study.api.results",
    "Result": "study.api.results",
    "Study": "study.api.results",
    "cross_validate": "study.api.runs",
    "evaluate": "study.api.evaluations",
    "open": "study.api.results",
}
"""Name -> the module that defines it."""

CALLABLE_COMMANDS = ("audit", "search")
"""Modules that are commands and can be called as functions, too."""

COMMANDS = {
    "report": "from Python, study.evaluate(...).write(folder) writes a report",
    "cv": "from Python, study.cross_validate(...) does the same",
    **dict.fromkeys(
        ("bench", "cache", "clean", "compare", "example", "ledger", "precision", "verify"),
        "it has no function in Python",
    ),
}
"""Commands that are no functions, with what to do instead."""

__all__ = ["Audited", "Cell", "Result", "Study", "audit", "cross_validate", "evaluate", "open", "search"]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    if name in CALLABLE_COMMANDS:
        return import_module(f"study.{name}")
    if name in COMMANDS:
        raise AttributeError(f"study.{name} is a command: python -m study.{name} (or mmbc {name}); {COMMANDS[name]}")
    raise AttributeError(f"module 'study' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
