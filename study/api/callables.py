"""Command modules that are functions, too: `study.audit(...)` where `study.audit` is also `python -m study.audit`."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def make_callable(module: str, function: str) -> None:
    """Let a module be called, whichever way it was imported.

    Python binds a submodule as an attribute of its package on import, so a function of the same name would be lost as
    soon as somebody imports the command.

    Args:
        module: name of the module, loaded or just being loaded.
        function: `module:name` of the function that a call goes to; it is imported by the first call.
    """
    home, _, name = function.partition(":")

    class CallableModule(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return getattr(import_module(home), name)(*arguments, **options)

        @property
        def __wrapped__(self) -> Any:
            """The function, for `help` and `inspect.signature`."""
            return getattr(import_module(home), name)

    sys.modules[module].__class__ = CallableModule
