"""All commands in one, and what holds for each: what `--help` says and loads."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from study.__main__ import COMMANDS, app

ROOT = Path(__file__).resolve().parents[3]
RUN = CliRunner(env={"COLUMNS": "80"})
MODULES = [*(f"study.{name}" for name in COMMANDS), "mmbc.example"]
LIGHT = {"typer", "rich", "click", "shellingham", "annotated_doc", "markdown_it", "mdurl", "pygments", "mmbc", "study"}
"""Packages that the help of a command may load beside the standard library's and those without a name of their own."""


def loaded(code, *arguments):
    """Run code in a fresh interpreter and return what it printed and the modules it loaded."""
    ending = "\nfinally:\n    print('LOADED', *sys.modules)"
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass{ending}"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, _, names = done.stdout.rpartition("LOADED ")
    return text, set(names.split())


def heavy(modules):
    """Return the installed packages that are loaded and not light; editable installs and hooks of the site left out."""
    packages = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - LIGHT
    return {name for name in packages if not name.startswith(("_", "$")) and name != "coverage"}


@pytest.mark.parametrize("module", MODULES)
def test_help_loads_nothing_heavy(module):
    """Seconds depend on the machine; what is loaded does not."""
    text, modules = loaded(f"import runpy; runpy.run_module({module!r}, run_name='__main__')", "--help")
    assert "Usage:" in text
    assert heavy(modules) == set(), f"{module} --help"
    rooms = {name.split(".")[1] for name in modules if name.count(".") > 1 and name.startswith("study.")}
    assert rooms <= {"api", "console", "design", "reporting", "text"}, "their options, defaults and names"


def test_importing_study_loads_nothing_heavy():
    assert heavy(loaded("import study")[1]) == set()


def test_the_list_of_commands_loads_nothing_heavy():
    text, modules = loaded("from study.__main__ import app; app(prog_name='mmbc')", "--help")
    assert heavy(modules) == set()
    assert "Usage: mmbc [OPTIONS] COMMAND" in text


def test_only_the_command_asked_for_is_loaded():
    text, modules = loaded("from study.__main__ import app; app(prog_name='mmbc')", "verify", "--help")
    assert {name for name in modules if name in MODULES} == {"study.verify"}
    assert "Usage: mmbc verify [OPTIONS]" in text and "Say which numbers of a report" in text


def test_every_file_of_study_is_a_command_of_the_list():
    files = {path.stem for path in (ROOT / "study").glob("*.py")} - {"__init__", "__main__"}
    assert set(COMMANDS) & files == set(COMMANDS), "a command without a file"
    assert {name for name in files if hasattr(import_module(f"study.{name}"), "app")} == set(COMMANDS)


def test_every_command_is_listed_with_a_line():
    text = " ".join(RUN.invoke(app, ["--help"]).output.replace("│", " ").split())
    for name in COMMANDS:
        assert f"{name} " in text and get_command(import_module(f"study.{name}").app).help.split("\n")[0] in text


def test_an_unknown_command_is_answered_with_the_nearest():
    done = RUN.invoke(app, ["verfy"])
    assert done.exit_code == 2 and "did you mean 'verify'?" in " ".join(done.output.split())


def test_arguments_and_exit_codes_pass_through():
    done = RUN.invoke(app, ["verify", "reports/nowhere"])
    assert done.exit_code == 2 and done.output.startswith("error StudyError: reports/nowhere: ")


def test_the_console_script_is_this():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["mmbc"].partition(":")
    assert getattr(import_module(module), name) is app


@pytest.mark.parametrize("module", MODULES)
def test_help_fits_80_columns(module):
    done = RUN.invoke(import_module(module).app, ["--help"])
    assert done.exit_code == 0 and max(map(len, done.output.splitlines())) <= 80
    assert "…" not in done.output, "a word that is cut"


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ("mmbc.example", "study.example")])
def test_every_option_says_what_it_does(module):
    for option in get_command(import_module(module).app).params:
        assert option.help, f"{module}: {option.opts}"
        assert option.help.endswith("."), f"{module}: {option.opts}"


def test_options_that_commands_share_mean_the_same():
    """An option with the same name and panel has the same text, but for those that a command declares for itself."""
    texts = {}
    for module in ("study.cv", "study.search", "study.audit", "study.ledger"):
        for option in get_command(import_module(module).app).params:
            texts.setdefault(option.name, set()).add(option.help)
    assert {name for name, said in texts.items() if len(said) > 1} == {"ablation", "executor", "study"}


def test_panels_stand_in_the_order_of_the_work():
    text = RUN.invoke(import_module("study.cv").app, ["--help"]).output
    panels = re.findall(r"╭─ (.+?) ─", text)
    assert panels == ["Options", "Cohort and labels", "Comparison", "Where things lie", "How the work is done"]
