"""Sentences on a planned study: memory, time, and the precision to expect."""

import sys
from collections.abc import Sequence

from mmbc.errors import count
from study.console.live_view import duration
from study.console.precision_text import resolution
from study.design.cells import Cell
from study.design.request import Request
from study.stats.planner import Plan, PlanResult, plan
from study.training.duration import expected_seconds
from study.training.memory import Memory, expected_memory
from study.training.preparation import Planned
from study.training.process_number import process_number
from study.training.stream_groups import images_key, n_passes, stream_groups

EXPECTED_AUC = 0.8
"""The AUC that is supposed before there are results."""


def memory(planned: Planned, request: Request) -> str:
    """Return the estimate of memory, and whether the cells train in waves; empty where one trains at a time."""
    groups = expected_memory(planned.unfinished(planned.cells), planned.cohort, request.executor, request.jobs)
    if not groups or request.executor == "sequential":
        return ""
    group = max(groups, key=lambda group: group.needed)
    together = min(group.n_live, request.max_live_fits or group.n_live)
    waves = "" if together >= group.n_cells else f", {together} at a time (--max-live-fits)"
    others = (
        "" if len(groups) == 1 else f"; the largest of {len(groups)} groups (seeds, backbones), one after the other"
    )
    return (
        f"Memory for {count(group.n_cells, 'cell')}{waves}, beside the program's own: about "
        f"{in_bytes(group.fixed + together * group.per_fit)} of {in_bytes(group.free)} free "
        f"({_shared(group)}, {in_bytes(group.per_fit)} a fit){others}"
    )


def _shared(group: Memory) -> str:
    """Return what is taken whatever the number of fits."""
    if group.n_processes == 1:
        return f"{in_bytes(group.shared)} shared"
    return f"{in_bytes(group.fixed // group.n_processes)} for each of {group.n_processes} processes (--jobs)"


def in_bytes(n: int) -> str:
    """Return `1.5 GiB`, `12 MiB` or `0.25 MiB`."""
    return f"{n / 2**30:.1f} GiB" if n >= 2**30 else f"{n / 2**20:.{0 if n >= 2**20 else 2}f} MiB"


def cost(planned: Planned, request: Request) -> str:
    """Return the number of cells to train and the longest time that takes."""
    left = planned.unfinished(planned.cells)
    if not left:
        return "Every cell is finished; the command would write the report again."
    n_rows = len(planned.cohort.images)
    seconds = expected_seconds(left, n_rows, request.executor, request.jobs)
    groups = stream_groups(left, "lockstep")
    n = max(process_number(request.jobs, group, n_rows, sys.maxsize) for group in groups)
    processes = f", {count(n, 'process', 'processes')}" if n > 1 else ""
    return (
        f"{count(len(left), 'cell')} to train; at most about {duration(seconds)} ({request.executor}{processes},"
        f" every fit to its last epoch){_bank(left)}"
    )


def _bank(cells: Sequence[Cell]) -> str:
    """Return how much of the frozen layers' work a view bank saves; empty without one."""
    groups = stream_groups([c for c in cells if c.config.uses_images and c.config.train.view_bank], "lockstep")
    if not groups:
        return ""
    with_it = sum({images_key(group[0]): n_passes(group, "lockstep") for group in groups}.values())
    without = sum(max(cell.config.train.max_epochs for cell in group) for group in groups)
    run = f"the frozen layers run over all images {count(with_it, 'time')}"
    if with_it < without:
        return f". With train.view_bank {run}, in place of at most {without}"
    return f". train.view_bank saves nothing here: {run}, and without it at most {without}"


def expected_precision(planned: Planned) -> PlanResult | str:
    """Return the precision that the cohort at hand allows, or why it cannot be estimated."""
    images, protocol = planned.cohort.images, planned.study.protocol
    n_folds = planned.folds.n_folds
    positive = images.groupby("patient_id")["label"].max()
    try:
        inputs = Plan(
            len(positive),
            float(positive.mean()),
            EXPECTED_AUC,
            len(images) / len(positive),
            n_folds,
            protocol.repeats,
            delta=protocol.delta,
        )
    except ValueError as error:
        return f"What the study can show could not be estimated: {error}."
    return plan(inputs)


def precision(planned: Planned) -> str:
    """Return the intervals and differences that the cohort at hand can be expected to show."""
    result = expected_precision(planned)
    if isinstance(result, str):
        return result
    inputs = result.inputs
    return (
        f"If the AUC is {EXPECTED_AUC:g}: 95 % interval {result.e1_patient.low:.3f} to {result.e1_patient.high:.3f},"
        f" smallest difference found with power {inputs.power:g} {result.detectable_e1:.3f} (fitted models),"
        f" {result.detectable_e2:.3f} (trained again). {resolution(result)} More: python -m study.precision --help"
    )
