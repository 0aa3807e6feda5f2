"""Memory and time estimate of a search, and how many trials a wave can have."""

import math
from collections.abc import Sequence

from study.design.cells import Cell
from study.design.request import Request
from study.design.search_space import heaviest
from study.training.duration import expected_seconds
from study.training.memory import Memory, expected_memory
from study.training.preparation import Planned
from study.tuning.targets import Target


def wave_memory(planned: Planned, targets: Sequence[Target], wave: int, request: Request) -> list[Memory]:
    """Return the memory of a wave by groups that share a stream, were all trials as heavy as the space allows."""
    cells: list[Cell] = []
    for target in targets:
        config = heaviest(target.study, target.arm, target.holes)
        cells += [cell for number in range(wave) for cell in target.cells(number, config)]
    return expected_memory(cells, planned.cohort, request.executor, request.jobs)


def trials_together(targets: Sequence[Target], wave: int, request: Request, groups: Sequence[Memory]) -> int:
    """Return how many trials a wave can have at most: as many as fit into memory were all as heavy as the space allows.

    Args:
        targets: everything that is searched.
        wave: trials of each target.
        request: how many fits may train together.
        groups: see `wave_memory`.
    """
    n_fits, n_trials = len(targets[0].splits), wave * len(targets)
    shares = [min(group.n_live, request.max_live_fits or group.n_live) / group.n_cells for group in groups]
    return max(1, int(n_trials * n_fits * min(shares)) // n_fits)


def search_seconds(planned: Planned, targets: Sequence[Target], request: Request, together: int) -> float:
    """Estimate the seconds of a search without pruning whose trials are all as heavy as the reference configuration.

    Args:
        planned: the study.
        targets: everything that is searched.
        request: for its executor.
        together: trials of a wave, see `trials_together`.
    """
    at_once = max(1, together // len(targets))
    cells = [c for target in targets for number in range(at_once) for c in target.cells(number, target.config({}))]
    n_waves = math.ceil(targets[0].search.trials * len(targets) / max(together, 1))
    return n_waves * expected_seconds(cells, len(planned.cohort.images), request.executor, request.jobs)
