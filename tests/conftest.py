"""What several tests need: tiny studies on the phantom, and the real data where it is at hand."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data():
    """The folder of real mammograms; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip("the real mammograms (../shared/data beside the checkout) are not here")
    return REAL


@pytest.fixture(scope="session")
def real_v1(real_data):
    return real_data / "Mini_DDSM_Upload"
