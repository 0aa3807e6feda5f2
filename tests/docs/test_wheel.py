"""A wheel of the repository is whole: installed alone, it runs a study from another folder."""

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT

SOURCES = ("mmbc", "study", "pyproject.toml", "README.md", "LICENSE")


def _call(*command, cwd):
    """Run a command that sees nothing of this checkout, and return what it printed."""
    without = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=without, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The scripts of a fresh environment with the wheel, and this environment's packages as its dependencies.

    A line of a .pth file adds a folder and not the .pth files in it, so the editable install of this one stays out.
    """
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "source" / name)
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source"]
    _call(sys.executable, "-m", *build, cwd=folder)
    shutil.rmtree(folder / "source")
    (wheel,) = folder.glob("mmbc-*.whl")
    _call(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    _call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return python.parent


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_wheel_is_used_and_not_the_checkout(installed, tmp_path):
    code = "import mmbc, study, sys; print(mmbc.__file__, study.__file__, *sys.path, sep='\\n')"
    printed = _call(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert all(Path(line).is_relative_to(installed.parent) for line in printed[:2])
    assert str(ROOT) not in printed


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_study_runs_from_another_folder(installed, tmp_path):
    _call(installed / "mmbc", "cv", "--data", "phantom", "--preset", "tiny", "--no-figures", cwd=tmp_path)
    report = tmp_path / "reports" / "phantom-tiny"
    assert "<script>" in (report / "report.html").read_text()  # the assets of the page
    assert len(list((report / "checklists").glob("*.csv"))) == 4
    assert "@article" in (report / "references.bib").read_text()
    assert (report / "methods.md").is_file()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_every_file_that_is_no_module_is_in_the_wheel(installed):
    (packages,) = installed.parent.glob("lib/python*/site-packages")
    for package in ("mmbc", "study"):
        files = [path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert files
        for path in files:
            assert (packages / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), path


@pytest.mark.exhaustive
@pytest.mark.slow
def test_presets_and_the_search_space_are_found(installed, tmp_path):
    code = (
        "from study.design.study_file import load, presets\n"
        "from study.design.search_space import read_space\n"
        "print(sorted(presets()), len(load('paper').arms), len(read_space(None)[1]))"
    )
    assert _call(installed / "python", "-c", code, cwd=tmp_path).strip() == "['default', 'demo', 'paper', 'tiny'] 4 4"
