"""Where a run computes, and with what numbers: resolved once, recorded, the same for every fit."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from mmbc.config import RunConfig
from mmbc.errors import ConfigError


def resolved(run: RunConfig) -> RunConfig:
    """Replace `auto` and 0 by what this machine has, so that the record says what was used.

    Raises:
        ConfigError: a device that is not there.
    """
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.split(":")[0], False):
        raise ConfigError(f"run.device: {device!r} is not available here; use auto or cpu")
    precision = run.precision
    if precision == "auto":
        precision = "bfloat16" if device.startswith("cuda") else "float32"
    threads = run.threads or torch.get_num_threads()
    return run.model_copy(update={"device": device, "precision": precision, "threads": threads})


def configure(run: RunConfig) -> torch.device:
    """Set threads and deterministic kernels for this process and return the device."""
    torch.set_num_threads(run.threads)
    if run.device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return torch.device(run.device)


def autocast(run: RunConfig) -> AbstractContextManager[object]:
    """Return the autocast context of the configured precision."""
    if run.precision == "float32":
        return nullcontext()
    return torch.autocast(run.device.split(":")[0], dtype=torch.bfloat16)
