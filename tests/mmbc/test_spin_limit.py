"""OpenMP's threads spin for a limited time, whichever way in, unless the user has other wishes."""

import json
import os
import subprocess
import sys

import pytest

SHOW = """
import json, os
from mmbc import SPIN_LIMIT as limit
print(json.dumps([limit.value, limit.in_effect, len(limit.notes), os.environ.get("GOMP_SPINCOUNT")]))
"""


@pytest.mark.parametrize(
    ("imports", "environment", "expected"),
    [
        ("import mmbc, torch", {}, ["1000", True, 0, "1000"]),
        pytest.param("import study, torch", {}, ["1000", True, 0, "1000"], marks=pytest.mark.exhaustive),
        ("import torch, mmbc", {}, ["1000", False, 1, "1000"]),
        ("import mmbc, torch", {"GOMP_SPINCOUNT": "7"}, ["7", True, 0, "7"]),
        ("import torch, mmbc", {"OMP_WAIT_POLICY": "active"}, [None, False, 0, None]),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is Linux's")
def test_limit_before_torch(imports, environment, expected):
    own = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = f"import warnings; warnings.simplefilter('error'); {imports}{SHOW}"
    done = subprocess.run([sys.executable, "-c", code], env=own | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
