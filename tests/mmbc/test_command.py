"""Commands as dataclasses: fields become options, errors and interrupts become a sentence and an exit code."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import CohortError

RUN = CliRunner(env={"COLUMNS": "80"})


@dataclass(frozen=True, kw_only=True)
class Places:
    out: Annotated[Path, typer.Option(help="Where it goes.", rich_help_panel="Places")] = Path("results")
    name: Annotated[str, typer.Option(help="Its name.", rich_help_panel="Places")] = ""


@dataclass(frozen=True, kw_only=True)
class Work:
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value.", rich_help_panel="Work")] = None
    jobs: Annotated[int, typer.Option(min=1, help="Processes.", rich_help_panel="Work")] = 1


@dataclass(frozen=True, kw_only=True)
class Echo(Places, Work, Command):
    """Say what was typed.

    And a second paragraph.
    """

    MOVED: ClassVar = {"--shout": "is python -m study.shout now"}

    word: Annotated[str, typer.Argument(help="A word.")]
    how: Annotated[str, typer.Option(help="What to do.")] = "say"
    jobs: Annotated[int, typer.Option(min=2, help="At least two.", rich_help_panel="Work")] = 2

    def run(self, terminal: Terminal) -> int | None:
        if self.how == "fail":
            raise CohortError("row 3: no label [sic]; give one, however long this sentence grows on a narrow terminal")
        if self.how in ("interrupt", "terminate"):
            terminal.if_interrupted = lambda: f"Interrupted {self.word}."
            os.kill(os.getpid(), signal.SIGINT if self.how == "interrupt" else signal.SIGTERM)
        if self.how == "break":
            raise KeyError("no such\nthing")
        if self.how == "disk":
            raise OSError(28, "No space left on device", "results/x.bin")
        if self.how == "stop":
            raise KeyboardInterrupt
        terminal.say(f"{self} {terminal.words}")
        return 7 if self.how == "seven" else None


def run(*words):
    done = RUN.invoke(command.app(Echo), [*words])
    return done.exit_code, done.output


def test_fields_are_options_with_their_defaults():
    code, text = run("hello", "--set", "a=1", "--set", "b=2", "--out", "x")
    assert code == 0
    assert text.startswith(str(Echo(word="hello", set_=["a=1", "b=2"], out=Path("x"))))
    assert "('hello', '--set', 'a=1', '--set', 'b=2', '--out', 'x')" in text


def test_help_has_own_options_first_then_the_groups_as_they_are_named():
    code, text = run("--help")
    places = [text.index(word) for word in ("Say what was typed.", "A word.", "--how", "--out", "--name", "--set")]
    assert code == 0 and places == sorted(places)
    assert text.index("--set") < text.index("--jobs") and "At least two." in text, "declared again, in its old place"
    assert "Places ─" in text and max(map(len, text.splitlines())) <= 80


def test_a_required_argument_and_a_range_are_checked():
    assert run()[0] == 2
    assert run("hello", "--jobs", "1")[0] == 2
    assert run("hello", "--nme", "x")[0] == 2


def test_an_error_is_one_line_and_exit_code_two():
    code, text = run("hello", "--how", "fail")
    assert code == 2 and text.startswith("error CohortError: row 3: no label [sic]; give one") and text.count("\n") == 1


def test_the_exit_code_is_the_commands():
    assert run("hello", "--how", "seven")[0] == 7


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_an_interrupt_is_said_in_the_commands_words(how):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background of a shell ignore
    handler = signal.getsignal(signal.SIGTERM)
    assert run("hello", "--how", how) == (130, "Interrupted hello.\n")
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_interrupt_before_any_work():
    assert run("hello", "--how", "stop") == (130, "Interrupted; nothing was written.\n")


def test_a_flag_that_moved_says_where_whatever_stands_beside_it():
    code, text = run("--shout", "--volume", "11")
    assert (code, text) == (2, "error ConfigError: --shout: is python -m study.shout now\n")


def test_what_no_check_foresaw_is_one_sentence_and_a_log_with_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, text = run("hello", "--how", "break")
    (log,) = tmp_path.glob("mmbc-*.log")
    assert code == 1 and text.count("\n") == 1 and "Traceback" not in text
    assert "fault of mmbc" in text and "KeyError" in text and str(log) in text and "is lost" in text
    assert "Traceback" in log.read_text() and "in run" in log.read_text()


def test_where_no_log_can_be_written_the_sentence_says_how_to_see_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    code, text = run("hello", "--how", "break")
    assert code == 1 and "MMBC_DEBUG=1" in text
    monkeypatch.setenv("MMBC_DEBUG", "1")
    assert isinstance(RUN.invoke(command.app(Echo), ["hello", "--how", "break"]).exception, KeyError)


def test_a_full_disk_is_said_with_the_file():
    code, text = run("hello", "--how", "disk")
    assert (code, text) == (
        2,
        "error StudyError: results/x.bin: No space left on device; nothing written before is lost\n",
    )


@pytest.mark.parametrize("word", ["a\0b", "\x1b[31m", "\ud800", "\x07"])
def test_characters_that_a_terminal_obeys_are_refused_and_shown_as_codes(word):
    code, text = run("hello", "--name", word)
    assert code == 2 and text.startswith("error ConfigError: ") and "control character" in text
    assert command.UNPRINTABLE.search(text) is None and text.count("\n") == 1


def test_long_words_are_cut():
    assert command.printable(f"x {'y' * 5000} z") == f"x {'y' * 100}...{'y' * 20} z"
