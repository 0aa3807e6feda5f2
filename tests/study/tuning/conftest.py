"""Tiny searches on the phantom."""

import dataclasses

import pytest

from study.checks.study_start import start_findings
from study.design.study_file import Search
from study.records.progress import Observer
from study.training.preparation import prepare
from study.tuning import dashboard
from study.tuning.search import SearchWork, run_search

SPACE = {
    "model.dropout": {"range": [0.3, 0.7]},
    "train.head_lr": {"log": [1e-4, 1e-2]},
    "train.lr": {"log": [1e-6, 1e-3]},
    "model.fine_tuned_blocks": {"int": [0, 2]},
}


class TinySearch:
    """Plans and runs searches of the preset `tiny`."""

    def __init__(self, tiny) -> None:
        self.tiny = tiny

    def request(self, name, *, arms="tabular,concat", sets=(), **rules):
        request = self.tiny.request(name, arms=arms, sets=sets)
        search = Search(**({"trials": 3, "inner_folds": 2, "space": SPACE} | rules))
        return dataclasses.replace(request, study=request.study.model_copy(update={"search": search}))

    def plan(self, name, **options):
        return prepare(self.request(name, **options), Observer())

    def run(self, name, *, wave=2, storage=None, figures=False, **options):
        request = self.request(name, **options)
        planned = prepare(request, Observer())
        findings = start_findings(planned, request, Observer())
        return planned, self.search(planned, request, SearchWork(storage, wave), findings, figures=figures)

    def search(self, planned, request, work=SearchWork(wave=2), findings=(), *, figures=False):
        """Run a search, without the dashboard's figures unless asked: they take longer than the trials."""
        self.said = []
        said = {"observer": Observer(), "say": self.said.append, "command": ["test"]}
        with pytest.MonkeyPatch.context() as patched:
            if not figures:
                patched.setattr(dashboard, "draw_figures", lambda study: None)
            return run_search(planned, request, work, findings=list(findings), **said)


@pytest.fixture(scope="session")
def searching(tiny):
    return TinySearch(tiny)


@pytest.fixture(scope="session")
def nested_search(searching):
    """A finished nested search of two arms: planned, and what was found."""
    return searching.run("nested", figures=True)
