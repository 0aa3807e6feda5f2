"""What several tests need: tiny studies on the phantom, and the real data where it is at hand."""

import copy
import gc
import multiprocessing
import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

from mmbc.data.readers import Source
from study.checks.study_start import start_findings
from study.design.request import CACHE, Request
from study.design.study_file import chosen_arms, load
from study.evaluation.evaluation import evaluate
from study.records.progress import Observer
from study.records.stored_study import load_study
from study.training.lockstep import execute
from study.training.preparation import prepare
from study.training.run import carry_out
from study.training.workspace import Workspace

os.environ.setdefault("OMP_NUM_THREADS", "1")
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.register_profile("search", derandomize=False, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
"""A run of the tests says the same twice; `HYPOTHESIS_PROFILE=search` looks for new examples."""
os.fsync = lambda descriptor: None
"""No test cuts the power, so none has to wait until the disk has written."""
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


LONGEST = (
    "docs/test_commands.py",
    "tuning/test_postgresql.py",
    "commands/test_cv.py",
    "tuning/test_nested.py",
    "reporting/test_verification.py",
    "reporting/test_figures.py",
    "reporting/test_pack.py",
    "api/test_reports.py",
    "training/test_lockstep.py",
    "training/test_workers.py",
    "training/test_resume.py",
    "reporting/test_search.py",
    "records/test_damaged_files.py",
    "tuning/test_waves.py",
    "api/test_api.py",
    "reporting/test_r_script.py",
    "reporting/test_prose.py",
    "cohort/test_labels_that_differ.py",
    "checks/test_outputs.py",
    "imports/test_added_table.py",
    "reporting/test_analysis_plan.py",
)
"""The files that take longest (10 to 80 s of a processor), the longest first."""


def pytest_collection_modifyitems(items):
    """Put the longest files first, then those with most slow tests: two processes that take files then end together."""
    files = {item.path for item in items}
    place = {path: n for path in files for n, name in enumerate(LONGEST) if path.as_posix().endswith(name)}
    n_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (place.get(item.path, len(LONGEST)), -n_slow[item.path]))


def pytest_collection_finish():
    """Have the garbage collector leave alone what is imported, and look less often at what tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real mammograms; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip("the real mammograms (../shared/data beside the checkout) are not here")
    return REAL


@pytest.fixture(scope="session")
def real_v1(real_data):
    return real_data / "Mini_DDSM_Upload"


class Tiny:
    """Plans and runs the preset `tiny` below one folder, which also holds the shared cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def request(self, name, *, arms="all", sets=(), **options):
        study = load("tiny", None, list(sets))
        chosen = chosen_arms(study, arms)
        study = study.model_copy(update={"arms": {arm: study.arms[arm] for arm in chosen}})
        return Request(source=Source("phantom", None), study=study, out=self.folder, name=name, **options)

    def plan(self, name, **options):
        return prepare(self.request(name, **options), Observer())

    def run(self, name, *, audited=False, **options):
        request = self.request(name, **options)
        planned = prepare(request, Observer())
        findings = start_findings(planned, request, Observer()) if audited else ()
        carry_out(planned, request, Observer(), command=["test"], findings=findings)
        return planned

    def execute(self, planned, cells=None, *, after_epoch=None, observer=None, **options):
        options = {"checkpoint_every": 0, **options}
        workspace = Workspace(planned.cohort, planned.store, planned.folder, self.folder / CACHE, **options)
        cells = planned.cells if cells is None else cells
        execute(cells, workspace, after_epoch=after_epoch, observer=observer)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return Tiny(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="session")
def finished_study(tiny):
    """A finished study with all arms, as planned."""
    return tiny.run("finished", sets=["protocol.repeats=2"], audited=True)


@pytest.fixture(scope="session")
def evaluated(finished_study):
    """The finished study read back, and every number of it; nobody may change them."""
    study = load_study(finished_study.folder)
    return study, evaluate(study, n_replicates=200)


@pytest.fixture
def stored(evaluated):
    """The finished study read back, for one test alone."""
    return copy.deepcopy(evaluated[0])


@pytest.fixture(scope="session")
def forks():
    """The context of processes forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "study.benchmarks.contest",
            "study.benchmarks.pack_speed",
            "study.checks.study_start",
            "study.console.search_screen",
            "study.console.report_screen",
            "study.training.worker",
            "study.tuning.search",
        ]
    )
    return context


@pytest.fixture
def quick_processes(monkeypatch, forks):
    """Forked processes, where the program starts an interpreter for each."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: forks)
