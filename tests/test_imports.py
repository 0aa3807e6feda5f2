"""The house rules of DESIGN: which module may import which, checked on the source and in fresh interpreters."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*(ROOT / "mmbc").rglob("*.py"), *(ROOT / "study").rglob("*.py")])

ROOMS = (
    "api",
    "console",
    "benchmarks",
    "tuning",
    "leaks",
    "reporting",
    "checks",
    "imports",
    "training",
    "evaluation",
    "cohort",
    "records",
    "design",
    "stats",
    "text",
)
"""Folders of `study/`, each of which imports only itself and those after it. The files above them are the commands."""

REPORTING = ("html", "checklists", "text", "methods", "paper", "figures", "tables", "facts")
"""Folders of `study/reporting/`, likewise; the files above them put a report together."""

LIBRARY = (
    "mmbc.example",
    "mmbc.deploy",
    "mmbc.training",
    "mmbc.model",
    "mmbc.data.readers",
    "mmbc.data.synthetic",
    "mmbc.data",
    "mmbc.data.images",
    "mmbc.data.tables",
    "mmbc",
)
"""The command and the packages of `mmbc`, each of which imports only itself and those after it."""

ALLOWED = {
    "torch": ("study.training.", "study.benchmarks."),
    "torchvision": ("study.benchmarks.",),
    "timm": ("study.benchmarks.",),
    "safetensors": ("study.training.",),
    "optuna": ("study.tuning.",),
    "matplotlib": ("study.reporting.figures.",),
}
"""Packages that only some rooms of `study` import."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


def imported(path: Path) -> set[str]:
    """Return every module a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in names}
    return found


def room_of(module: str) -> str | None:
    """Return the room of a module of `study`; None for a command and for `study` itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else None


def package_of(module: str) -> str:
    """Return the innermost entry of `LIBRARY` that a module of `mmbc` belongs to."""
    return max((package for package in LIBRARY if f"{module}.".startswith(f"{package}.")), key=len)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_import_rules(path):
    module, used = name_of(path), {name.split(".")[0] for name in imported(path)}
    if module.startswith("mmbc"):
        assert "study" not in used, "mmbc knows nothing of studies"
    else:
        for package, places in ALLOWED.items():
            assert package not in used or f"{module}.".startswith(places), f"{package} is imported in {places} alone"
    if module.startswith("study.stats"):
        assert used <= {"numpy", "scipy", "sklearn", "statsmodels", "study"} | set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(name_of(path))], ids=name_of)
def test_rooms_import_only_those_below(path):
    """An import that runs uphill makes a circle sooner or later: what both need belongs into a lower room."""
    below = ROOMS[ROOMS.index(room_of(name_of(path))) :]
    for module in imported(path):
        if module.startswith("study."):
            assert room_of(module) in below, f"{name_of(path)} may not import {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "study").glob("*.py")), ids=name_of)
def test_commands_import_rooms_alone(path):
    """A command is imported by no module, not even by another command."""
    for module in imported(path):
        assert not module.startswith("study.") or room_of(module), f"{name_of(path)} may not import {module}"


REPORTING_MODULES = [path for path in MODULES if path.parent.parent == ROOT / "study" / "reporting"]


@pytest.mark.parametrize("path", REPORTING_MODULES, ids=name_of)
def test_reporting_has_an_order_of_its_own(path):
    """Facts, then tables and figures, Methods, text, checklists and HTML: what is above quotes what is below."""
    below = REPORTING[REPORTING.index(path.parent.name) :]
    for module in imported(path):
        if module.startswith("study.reporting."):
            assert module.split(".")[2] in below, f"{name_of(path)} may not import {module}"


def test_every_folder_of_study_is_a_room():
    """A new room must be placed in the order, and a new folder of `reporting/` in its own."""
    assert set(REPORTING) == {path.parent.name for path in REPORTING_MODULES}
    assert {path.parent.name for path in (ROOT / "study").glob("*/__init__.py")} == set(ROOMS)
    assert set(ROOMS) == {path.name for path in (ROOT / "study").iterdir() if path.is_dir()} - {"__pycache__"}


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).startswith("mmbc")], ids=name_of)
def test_rooms_of_the_library_import_only_those_below(path):
    """Data never imports the model, the model no training, training no deployment."""
    package = package_of(name_of(path))
    for module in imported(path):
        if module.split(".")[0] == "mmbc" and module != "mmbc":
            assert LIBRARY.index(package_of(module)) >= LIBRARY.index(package), f"{package} may not import {module}"


def test_every_package_of_the_library_is_a_room():
    """A new package must be placed in the order."""
    packages = {name_of(path) for path in (ROOT / "mmbc").rglob("__init__.py")}
    assert packages == set(LIBRARY) - {"mmbc.example"}


def test_nothing_imports_in_a_circle():
    """Neither modules nor the packages of `mmbc`."""
    graph = {name_of(path): {name for name in imported(path) if name in NAMES} for path in MODULES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_readable(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, "split it"


def test_reading_results_needs_no_torch():
    """One interpreter for all: what none of them pulls in, not one of them pulls in."""
    modules = [
        "study.records.stored_study",
        "study.evaluation.evaluation",
        "study.console.finished_study",
        "study.console.report_screen",
        "study.imports.imported_study",
        "study.reporting.comparison",
        "study.reporting.pack",
        "study.reporting.verification",
    ]
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        "    assert not {'torch', 'timm', 'optuna'} & set(sys.modules), name"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_commands_need_for_their_help_is_light():
    """Options name readers, settings and errors; what reads tables and trains models is loaded with the first use."""
    packages = [name_of(path) for path in MODULES if path.name == "__init__.py" and path.is_relative_to(ROOT / "mmbc")]
    modules = [*packages, "mmbc.config", "mmbc.errors", "mmbc.files", "mmbc.cache", "mmbc.threads"]
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        "    assert not {'torch', 'pandas', 'sklearn', 'numpy', 'scipy', 'cv2'} & set(sys.modules), name"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.exhaustive
def test_importing_does_no_work(tmp_path):
    """Every module imports in an empty folder with nothing printed and nothing written."""
    names = [name_of(path) for path in MODULES]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (0, "", []), done.stderr
