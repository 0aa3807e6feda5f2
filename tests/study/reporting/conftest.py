"""What several tests of reports need."""

from contextlib import contextmanager

import pytest

from study.reporting import pack

FEW = ("main", "contrasts", "flow")


@contextmanager
def few_figures():
    """Reports have three figures here, which are enough to show what holds for any."""
    everything = pack.catalogue
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "catalogue", lambda *a: {k: v for k, v in everything(*a).items() if k in FEW})
        yield


@pytest.fixture(scope="session")
def packed(evaluated, tmp_path_factory):
    """A report of the finished study with its predictions and three figures; nobody may change it."""
    folder = tmp_path_factory.mktemp("packed") / "finished"
    with few_figures():
        pack.write_pack(*evaluated, folder, pack.Options(archive=True))
    return folder
