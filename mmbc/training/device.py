"""Device, threads and precision of a run: resolved once, recorded, the same for every fit."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from threadpoolctl import threadpool_limits

from mmbc.config import RunConfig
from mmbc.errors import ConfigError


def resolve(run: RunConfig) -> RunConfig:
    """Replace `auto` and 0 by what is used, so that the record tells it.

    One thread is used wherever no number is asked for: the bits then do not depend on the number of cores.

    Raises:
        ConfigError: a device or arithmetic that this machine does not have.
    """
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.split(":")[0], False):
        raise ConfigError(f"run.device: {device!r} is not available here; use auto or cpu")
    if run.trunk_precision == "bfloat16":
        _check_bfloat16(device)
    precision = run.precision
    if precision == "auto":
        precision = "bfloat16" if device.startswith("cuda") else "float32"
    return run.model_copy(update={"device": device, "precision": precision, "threads": run.threads or 1})


def _check_bfloat16(device: str) -> None:
    """Refuse a trunk in bfloat16 where it is no faster."""
    if device != "cpu":
        raise ConfigError(
            "run.trunk_precision: is for processors; what a GPU computes in is run.precision, bfloat16 on CUDA"
        )
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        raise ConfigError(
            "run.trunk_precision: this processor has no arithmetic for bfloat16 (AVX512-BF16 or AMX); emulated it would"
            " be slower than float32. Leave the setting out"
        )


def configure(run: RunConfig) -> torch.device:
    """Set threads, allocator and deterministic kernels for this process and return the device."""
    torch.set_num_threads(run.threads)
    if run.device == "cpu":
        keep_freed_memory()
    if run.device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return torch.device(run.device)


@contextmanager
def computing_with(n_threads: int) -> Iterator[None]:
    """Set torch to so many threads, and numpy and scipy to one, while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def choose_gpu(device: str, number: int) -> None:
    """Make the GPU with this number (modulo their count) the current one, if the device is `cuda` without a number."""
    if device == "cuda" and torch.cuda.device_count() > 1:
        torch.cuda.set_device(number % torch.cuda.device_count())


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of glibc's mallopt(3)."""


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory in the process; return whether it does.

    Otherwise every large tensor is mapped from the system and returned to it, and each of its pages is cleared anew:
    half the time of a trunk at small batches. With another C library it does nothing.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, 2**26)])


def autocast(run: RunConfig, *, trunk: bool = False) -> AbstractContextManager[object]:
    """Return the autocast context of the configured precision, of the trunk or of what is trained."""
    if run.precision == "float32" and not (trunk and run.trunk_precision == "bfloat16"):
        return nullcontext()
    return torch.autocast(run.device.split(":")[0], dtype=torch.bfloat16)
