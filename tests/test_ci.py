"""What runs elsewhere than on the developer's machine names things that are here."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("path", [ROOT / ".ci" / "run", *WORKFLOWS], ids=lambda path: path.name)
def test_every_target_is_in_the_makefile(path):
    called = [
        target
        for line in re.findall(r"\bmake ([a-z -]+)$", path.read_text(), flags=re.MULTILINE)
        for target in line.split()
    ]
    assert called and set(called) <= targets()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_on_the_oldest_python(path):
    oldest = PROJECT["requires-python"].removeprefix(">=")
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        setup = [step["with"]["python-version"] for step in job["steps"] if "python-version" in step.get("with", {})]
        assert setup == [oldest] or job["container"].startswith(f"python:{oldest}-")


def test_the_hooks_run_what_the_checks_run():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"], "nothing is downloaded"
    checks = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1]
    tools = re.findall(r"\$\(BIN\)/(\w+(?: check| format)?)", checks)
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks[0]["hooks"]]
    assert [" ".join(entry.split()[: len(tool.split())]) for entry, tool in zip(entries, tools, strict=True)] == tools


def test_the_citation_has_the_version_and_licence_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
