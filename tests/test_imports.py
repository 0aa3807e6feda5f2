"""The import rules of the design, checked on the source and in fresh interpreters."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*(ROOT / "mmbc").rglob("*.py"), *(ROOT / "study").rglob("*.py")])
COMMANDS = {
    "study.cv",
    "study.report",
    "study.verify",
    "study.compare",
    "study.example",
    "study.bench",
    "study.cache",
    "study.precision",
    "study.search.__main__",
    "study.audit.__main__",
    "study.stats.simulate",
    "mmbc.example",
}
TORCH = {"torch", "torchvision", "timm", "safetensors"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Return every module a file imports, wherever in the file; `from a import b` counts as `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_import_rules(path):
    module, used = name_of(path), roots(path)
    if module.startswith("mmbc"):
        assert "study" not in used, "mmbc knows nothing of studies"
    else:
        if module not in {"study.execute", "study.bench", "study.contenders"}:
            assert not used & TORCH, "in study, torch is imported by execute and the benchmark alone"
        if not module.startswith("study.search."):
            assert "optuna" not in used
        if not module.startswith("study.paper."):
            assert not used & {"matplotlib", "seaborn"}, "figures are drawn in study.paper alone"
    if module.startswith("study.stats") and module not in COMMANDS:
        allowed = {"numpy", "scipy", "sklearn", "statsmodels", "study"} | set(sys.stdlib_module_names)
        assert used <= allowed
    assert not {m for m in imported(path) if m in COMMANDS} - {module}, "no module imports a command"


def test_reading_results_needs_no_torch():
    """One interpreter for all: what none of them pulls in, not one of them pulls in."""
    modules = ["study.record", "study.evaluate", "study.compare", "study.verify", "study.report"]
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        "    assert not {'torch', 'timm', 'optuna'} & set(sys.modules), name"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
