"""Commands as dataclasses: the fields are the options, each declared once; `app` turns one into a Typer app.

    @dataclass(frozen=True, kw_only=True)
    class Verify(PlaceOptions, Command):
        \"\"\"Say which numbers of a report do not follow from its predictions.\"\"\"

        report: Annotated[Path, typer.Argument(help="Folder of a report: reports/NAME.")]
        most: Annotated[int, typer.Option(min=1, help="Disagreements to print.")] = 20

        def run(self, terminal: Terminal) -> int | None:
            from study.reporting.verification import verify  # what is heavy is imported here, not above

            ...

    app = command.app(Verify)

    if __name__ == "__main__":
        app()

The docstring is what `--help` says; `options_of(PANEL)` makes options of one of its panels. Options that commands share
are dataclasses too, and bases of those that have them: a command lists the options of its own first, then those of its
bases, from left to right. `run` returns the exit code (None is 0). Errors that the user can mend (`MmbcError`) are
printed here and end with 2, Ctrl-C and SIGTERM with 130, errors that no check foresaw with 1 and a log.
"""

import inspect
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, get_type_hints

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

from mmbc.errors import UNPRINTABLE, ConfigError, MmbcError, StudyError

WORDS = "mmbc.command.words"
"""Key of a context's `meta`: the arguments as they were typed."""
DEBUG = "MMBC_DEBUG"
"""Environment variable; if it is set, an error that no check foresaw ends with its traceback."""
LONG_WORD = re.compile(r"\S{400,}")
CORRECT = "correct it, or rename the file"


@dataclass
class Terminal:
    """The terminal a command was typed at.

    Attributes:
        words: the arguments as typed, without the name of the command.
        console: where to print.
        if_interrupted: makes the sentence after Ctrl-C: what is kept, and how to go on. A command sets it as it works.
    """

    words: tuple[str, ...] = ()
    console: Console = field(default_factory=Console)
    if_interrupted: Callable[[], str] = lambda: "Interrupted; nothing was written."

    def say(self, text: str) -> None:
        """Print a line as it is: no markup, no highlighting, not broken by the program."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Base of all commands."""

    MOVED: ClassVar[Mapping[str, str]] = {}
    """Flags that another command has now, with the sentence that says so."""

    def run(self, terminal: Terminal) -> int | None:
        """Do the work and print; return the exit code.

        Raises:
            MmbcError: what the user can mend.
        """
        raise NotImplementedError


def app(command: type[Command]) -> typer.Typer:
    """Return the Typer app of a command."""

    class Parser(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            for word, sentence in command.MOVED.items():
                if word in args:
                    show_error(Console(), ConfigError(f"{word}: {sentence}"))
                    raise typer.Exit(2)
            for at, word in enumerate(args):
                if not UNPRINTABLE.search(word):
                    continue
                option = f"{args[at - 1]} " if at and args[at - 1].startswith("--") else ""
                show_error(
                    Console(),
                    ConfigError(
                        f"{option}{word}: holds a control character, or bytes that are no UTF-8 text; {CORRECT}"
                    ),
                )
                raise typer.Exit(2)
            if option := _empty_place(command, args):
                show_error(Console(), ConfigError(f"{option}: is empty; name a file or folder ('.' is this one)"))
                raise typer.Exit(2)
            ctx.meta[WORDS] = tuple(args)
            return super().parse_args(ctx, args)

    def main(context: typer.Context, **options: Any) -> None:
        terminal = Terminal(context.meta[WORDS])
        raise typer.Exit(_exit_code(command(**options), terminal))

    parameters = [_parameter("context", typer.Context), *_parameters(command)]
    main.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    main.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    typed = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    typed.command(cls=Parser, help="\n\n".join(" ".join(text.split()) for text in paragraphs))(main)
    return typed


def _empty_place(command: type[Command], args: list[str]) -> str:
    """Return the option of a place for which '' was typed, which would be taken for this folder; else ''."""
    hints = get_type_hints(command)
    names = {flag("json" if name == "json_file" else name) for name, hint in hints.items() if "Path" in str(hint)}
    for before, word in zip(["", *args], args, strict=False):
        if (not word and before in names) or (word.endswith("=") and word[:-1] in names):
            return word[:-1] or before
        if not word and (before == "--" or not before.startswith("-")):
            return "an argument"
    return ""


def options_of(panel: str) -> Callable[..., Any]:
    """Return a function that makes an option of a panel of `--help` from its text, flags and `typer` settings."""

    def option(text: str, *flags: str, **settings: Any) -> Any:
        return typer.Option(*flags, help=text, rich_help_panel=panel, **settings)

    return option


def show_error(console: Console, error: MmbcError) -> None:
    """Print an error: its kind, and what to do about it."""
    text = printable(f" {type(error).__name__}: {error}")
    console.print(Text.assemble(("error", "bold red"), text), soft_wrap=True)


def printable(text: str) -> str:
    """Return text with codes in place of characters that a terminal obeys or lacks, and with long words cut."""
    text = UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)
    return LONG_WORD.sub(lambda found: f"{found[0][:100]}...{found[0][-20:]}", text)


def flag(name: str) -> str:
    """Return a field's name as it is typed."""
    return f"--{name.strip('_').replace('_', '-')}"


def _parameters(command: type[Command]) -> Iterator[inspect.Parameter]:
    """Yield an option per field: the command's own, then those of its bases; one declared again keeps its place."""
    hints = get_type_hints(command, include_extras=True)
    defaults = {option.name: option.default for option in fields(command)}
    classes = command.__mro__
    for number, group in enumerate(classes):
        above = {name for base in classes[number + 1 :] for name in inspect.get_annotations(base)}
        for name in inspect.get_annotations(group):
            if name in defaults and name not in above:
                yield _parameter(name, hints[name], defaults[name])


def _parameter(name: str, annotation: Any, default: Any = MISSING) -> inspect.Parameter:
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _exit_code(command: Command, terminal: Terminal) -> int:
    """Run a command and return its exit code, with errors and interrupts said in a sentence."""
    try:
        with _terminated_as_interrupted():
            return command.run(terminal) or 0
    except MmbcError as error:
        show_error(terminal.console, error)
        return 2
    except OSError as error:  # of the machine: no permission, a full or read-only disk, a name too long
        if isinstance(error, BrokenPipeError) or error.errno is None:
            return _unexpected(error, terminal)
        where = f"{error.filename}: " if error.filename is not None else ""
        show_error(terminal.console, StudyError(f"{where}{error.strerror}; nothing written before is lost"))
        return 2
    except Exception as error:
        return _unexpected(error, terminal)
    except KeyboardInterrupt:
        terminal.say(terminal.if_interrupted())
        return 130


def _unexpected(error: Exception, terminal: Terminal) -> int:
    """Say what no check foresaw in a sentence, keep the traceback in a file, and return the exit code."""
    if isinstance(error, BrokenPipeError):  # the reader of what is printed has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if os.environ.get(DEBUG):
        raise error
    kept = f"run the command again with {DEBUG}=1 to see the details"
    with suppress(OSError), tempfile.NamedTemporaryFile("w", prefix="mmbc-", suffix=".log", delete=False) as log:
        log.write("".join(traceback.format_exception(error)))
        kept = f"the details are in {log.name}"
    what = printable(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    terminal.say(
        f"error This is a fault of mmbc, please report it ({what}). Nothing that was finished is lost; {kept}."
    )
    return 1


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the work as Ctrl-C does; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
