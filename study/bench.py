"""How fast is it here, and against what: `python -m study.bench --data PATH`.

Every contender trains the same models to the same schedule in a process of its own; see `study.benchmarks.loops`.
"""

import json
import multiprocessing
import os
import platform
import queue
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from mmbc.data.cohort import Cohort
from mmbc.data.images.store import ImageStore, open_store, read_images
from mmbc.data.readers import PHANTOM, source
from mmbc.data.tables import encoding
from mmbc.errors import MmbcError, StudyError
from mmbc.training.device import resolved
from study.benchmarks import loops
from study.benchmarks.audit_speed import per_image
from study.benchmarks.search_wave import wave_of
from study.checks.subject import Subject, of_cohort
from study.cohort.loading import open_cohort
from study.console.live_view import duration
from study.design import folds
from study.design.cells import Cell, plan
from study.design.request import Tolerance
from study.design.study_file import StudyFile, chosen_arms, load
from study.records.environment import memory_gib, processor
from study.records.progress import FitProgress, Observer
from study.training.lockstep import Workspace, execute
from study.tuning.waves import Asked, train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DEFAULT = "naive,careful,sequential,lockstep"
KNOWN = (*DEFAULT.split(","), "repeat", "tenfold")
TENFOLD = 10


@dataclass(frozen=True)
class Task:
    """What one contender is given.

    Attributes:
        study: settings, with the epochs of the benchmark.
        cohort: rows, replicated if asked for.
        cells: the cells to train.
        paths: the files that are decoded, each once.
        replicate: how often they repeat in the cohort.
        folder: where it may write.
    """

    study: StudyFile
    cohort: Cohort
    cells: list[Cell]
    paths: list[Path]
    replicate: int
    folder: Path


class _Timer(Observer):
    """Notes when cells and clean features begin and end."""

    def __init__(self) -> None:
        self.mark = time.perf_counter()
        self.clean = 0.0
        self.cells: dict[str, float] = {}

    def preparing(self, what: str, done: int, total: int) -> None:
        if what == "features without augmentation" and done >= total:
            self.clean = time.perf_counter() - self.mark
            self.mark = time.perf_counter()

    def begun(self, names: Sequence[str]) -> None:
        self.mark = time.perf_counter()

    def finished(self, progress: FitProgress) -> None:
        self.cells[progress.name] = time.perf_counter() - self.mark
        self.mark = time.perf_counter()


def _own(task: Task, executor: str) -> dict[str, Any]:
    """Run one of this project's executors from cold: files decoded, cells trained."""
    began = time.perf_counter()
    facts = read_images(task.paths, cache=task.folder)
    store = open_store(task.paths, facts, task.study.data, cache=task.folder)
    store = _replicated(store, task.replicate, task.folder)
    decoded = time.perf_counter() - began
    timer = _Timer()
    workspace = Workspace(task.cohort, store, task.folder / "study", task.folder, checkpoint_every=0)
    seconds = execute(task.cells, workspace, executor=executor, observer=timer)  # type: ignore[arg-type]
    total = time.perf_counter() - began
    parts = {"decode": decoded, **seconds, "waiting": total - decoded - sum(seconds.values())}
    return {"once": decoded + timer.clean, "cells": timer.cells, "total": total, "parts": parts}


def _replicated(store: ImageStore, n: int, folder: Path) -> ImageStore:
    """Return the store repeated n times, on disk like any other."""
    if n == 1:
        return store
    shape = (n * len(store.pixels), *store.pixels.shape[1:])
    pixels = np.memmap(folder / "replicated.u8", dtype=np.uint8, mode="w+", shape=shape)
    for start in range(0, shape[0], len(store.pixels)):
        pixels[start : start + len(store.pixels)] = store.pixels
    pixels.flush()
    return ImageStore(
        np.memmap(folder / "replicated.u8", dtype=np.uint8, mode="r", shape=shape), store.digest, store.pool
    )


def _contend(name: str, task: Task, channel: Any) -> None:
    """Run a contender in this process and send what it took."""
    try:
        if name in ("naive", "careful"):
            loop = loops.naive if name == "naive" else loops.careful
            began = time.perf_counter()
            took = loop(task.cells, task.cohort)
            result: dict[str, Any] = {"once": took.once, "cells": took.cells, "total": time.perf_counter() - began}
        elif name == "lower_bound":
            n_tabular = encoding.fit(task.cohort.images, task.cohort.features).n_outputs
            parts = loops.lower_bound(task.cells, len(task.cohort.images), n_tabular)
            result = {"once": 0.0, "cells": {}, "total": sum(parts.values()), "parts": parts}
        else:
            result = _own(task, "sequential" if name == "sequential" else "lockstep")
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        channel.put(result)
    except MmbcError as error:
        channel.put({"error": str(error)})


def _run(name: str, task: Task) -> dict[str, Any]:
    """Run a contender in a fresh process, so that each has its own allocator and its own peak of memory."""
    context = multiprocessing.get_context("spawn")
    channel = context.Queue()
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        process = context.Process(target=_contend, args=(name, replace(task, folder=Path(folder)), channel))
        process.start()
        while True:
            try:
                result: dict[str, Any] = channel.get(timeout=1)
                break
            except queue.Empty:
                if process.exitcode is not None:
                    raise StudyError(f"{name}: its process ended with exit code {process.exitcode}") from None
        process.join()
    if "error" in result:
        raise StudyError(f"{name}: {result['error']}")
    return result


def replicated(cohort: Cohort, n: int) -> Cohort:
    """Return the cohort n times over, each copy under patient ids of its own: for timing alone."""
    copies = []
    for number in range(n):
        images = cohort.images.copy()
        for column in ("image_id", "patient_id", "case_id"):
            images[column] = images[column] + (f"~{number}" if number else "")
        copies.append(images)
    return replace(cohort, images=pd.concat(copies, ignore_index=True))


def sampled(cells: Sequence[Cell], per_arm: int) -> list[Cell]:
    """Return the first cells of every arm."""
    chosen: dict[str, list[Cell]] = {}
    for cell in cells:
        chosen.setdefault(cell.arm, []).append(cell)
    return [cell for arm in chosen.values() for cell in arm[:per_arm]]


def scaled(result: dict[str, Any], cells: Sequence[Cell]) -> float:
    """Return the seconds all cells take, from those measured: once for the study, plus the mean of an arm's times its cells."""
    measured = result["cells"]
    total = float(result["once"])
    for arm in dict.fromkeys(cell.arm for cell in cells):
        names = [cell.name for cell in cells if cell.arm == arm]
        times = [measured[name] for name in names if name in measured]
        total += float(np.mean(times)) * len(names)
    return total


@app.command()
def main(
    data: Annotated[str | None, typer.Option(help="The cohort; default as in study.cv.")] = None,
    ablation: Annotated[str, typer.Option(help="'all', or arms separated by commas.")] = "all",
    preset: Annotated[str | None, typer.Option(help="default, demo, paper or tiny.")] = None,
    config: Annotated[Path | None, typer.Option(help="Study file (TOML) laid over the preset.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value; may be repeated.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs every contender trains.")] = 2,
    limit_patients: Annotated[int, typer.Option(min=0, help="Patients of the cohort that are used; 0 for all.")] = 40,
    replicate: Annotated[int, typer.Option(min=1, help="Repeat a small cohort so often under new patient ids.")] = 1,
    cells_per_arm: Annotated[
        int, typer.Option(min=1, help="Cells of an arm that the slow contenders train; the rest is scaled.")
    ] = 1,
    contend: Annotated[
        str, typer.Option("--contenders", help=f"Of {', '.join(KNOWN)}, separated by commas.")
    ] = DEFAULT,
    allow_missing_images: Annotated[bool, typer.Option("--allow-missing-images")] = False,
    search: Annotated[
        bool,
        typer.Option("--search", help="Time one wave of a nested search against the same trials one after another."),
    ] = False,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Time the patient bootstrap alone, on simulated scores.")
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Time the looks of an audit and the treatments of outlines, per image.")
    ] = False,
    pack: Annotated[
        bool, typer.Option("--pack", help="Time the paper pack alone, on simulated predictions of 9684 images.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where it may write while it runs.")] = Path("results"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers, for machines.")] = None,
) -> None:
    """Time this project's executors against the loops everybody writes, on your cohort and this machine.

    Pretrained weights are not needed: the time does not depend on them.
    """
    console = Console()
    if statistics or pack:
        facts = _statistics(console) if statistics else _pack(console)
        if json_file is not None:
            json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return
    try:
        names = [name.strip() for name in contend.split(",") if name.strip()]
        unknown = [name for name in names if name not in KNOWN]
        if unknown:
            raise StudyError(f"--contenders {unknown[0]}: known are {', '.join(KNOWN)}")
        origin = source(data)
        preset = preset or ("demo" if origin.kind == PHANTOM else "default")
        full = _study(preset, config, set_ or [], ablation)
        tolerance = Tolerance(allow_missing_images, 0, limit_patients or None)
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=out) as folder:
            place = Path(folder)
            console.print("reading the cohort")
            opened = open_cohort(
                origin, full.data, needs_images=True, cache=place, tolerance=tolerance, observer=Observer()
            )
            cohort = opened.cohort
            if audit:
                facts = _audit(console, of_cohort(opened, full, {}, tolerance), place)
            elif search:
                facts = _wave(console, full, cohort, epochs, place)
            else:
                task = _task(full, cohort, epochs, replicate, place)
                facts = _facts(task, full, _contest(console, names, task, full, cells_per_arm), cells_per_arm)
                _show(console, facts)
        if json_file is not None:
            json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    except MmbcError as error:
        console.print(f"[bold red]error[/] {type(error).__name__}:", highlight=False)
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _study(preset: str, config: Path | None, sets: Sequence[str], ablation: str) -> StudyFile:
    study = load(preset, config, sets)
    chosen = chosen_arms(study, ablation)
    study = study.model_copy(update={"arms": {name: study.arms[name] for name in chosen}, "run": resolved(study.run)})
    if study.model.weights == "hub":
        model = study.model.model_copy(update={"weights": "none", "allow_random_trunk": True})
        study = study.model_copy(update={"model": model})
    return study


def _task(full: StudyFile, cohort: Cohort, epochs: int, replicate: int, folder: Path, repeats: int = 1) -> Task:
    schedule = {"max_epochs": epochs, "patience": epochs}
    protocol = {"repeats": repeats, "seeds": 1}
    study = full.model_copy(
        update={"train": full.train.model_copy(update=schedule), "protocol": full.protocol.model_copy(update=protocol)}
    )
    rows = replicated(cohort, replicate)
    content = folds.make(rows.images, study.protocol)
    cells = plan(study, tuple(study.arms), folds.splits(content))
    return Task(study, rows, cells, list(cohort.images["path"]), replicate, folder)


def _contest(
    console: Console, names: Sequence[str], task: Task, full: StudyFile, cells_per_arm: int
) -> dict[str, dict[str, Any]]:
    """Run the contenders one after the other."""
    few = sampled(task.cells, cells_per_arm)
    base = replace(task.cohort, images=task.cohort.images.iloc[: len(task.paths)].reset_index(drop=True))
    epochs = task.study.train.max_epochs
    tasks: dict[str, Callable[[], Task]] = {
        "repeat": lambda: _task(full, base, epochs, task.replicate, task.folder, repeats=2),
        "tenfold": lambda: _task(full, base, epochs, TENFOLD * task.replicate, task.folder),
        "lockstep": lambda: task,
    }
    results, bounds = {}, []
    for name in names:
        # a machine's speed drifts within minutes, so the bound is measured on both sides of what it bounds
        bounds += [_bound(console, task)] if name == "lockstep" else []
        console.print(f"running {name}")
        results[name] = _run(name, tasks[name]() if name in tasks else replace(task, cells=few))
        bounds += [_bound(console, task)] if name == "lockstep" else []
    if bounds:
        parts = {part: sum(bound["parts"][part] for bound in bounds) / len(bounds) for part in bounds[0]["parts"]}
        results["lower_bound"] = bounds[0] | {"parts": parts, "total": sum(parts.values())}
    return results


TRIALS_MEASURED = 4
"""Trials of an arm that are trained one after another; the time of the others is taken from these."""


def _wave(console: Console, full: StudyFile, cohort: Cohort, epochs: int, folder: Path) -> dict[str, Any]:
    """Time a wave of trials in lockstep, trial by trial, and fit by fit: the same fits, nothing pruned, pixels and clean features there."""
    facts = read_images(list(cohort.images["path"]), cache=folder)
    store = open_store(list(cohort.images["path"]), facts, full.data, cache=folder)
    workspace = Workspace(cohort, store, folder / "study", folder, checkpoint_every=0)
    wave = wave_of(full, cohort, epochs, folder)
    one = sampled_trials(wave, 1)
    train(one, workspace)  # makes the clean features of every depth, and warms up
    seconds: dict[str, float] = {}
    console.print(f"running {len(wave)} trials in lockstep")
    seconds["lockstep"] = _timed(lambda: train(wave, workspace))
    few = sampled_trials(wave, TRIALS_MEASURED)
    arms = {arm: sum(asked.target.arm == arm for asked in wave) for arm in full.arms}
    for name, executor in (("trial_by_trial", "lockstep"), ("fit_by_fit", "sequential")):
        console.print(f"running {len(few)} of them {name.replace('_', ' ')}")
        by_arm: dict[str, list[float]] = {}
        for asked in few:
            took = _timed(lambda asked=asked, executor=executor: train([asked], workspace, executor=executor))  # type: ignore[misc]
            by_arm.setdefault(asked.target.arm, []).append(took)
        seconds[name] = sum(arms[arm] * float(np.mean(times)) for arm, times in by_arm.items())
    ratios = {f"{name}/lockstep": seconds[name] / seconds["lockstep"] for name in ("trial_by_trial", "fit_by_fit")}
    console.print(
        f"One wave of {len(wave)} trials, {sum(len(asked.cells) for asked in wave)} fits of {epochs} epochs,"
        f" {len(cohort.images)} images: lockstep {seconds['lockstep']:.0f} s; one trial after another"
        f" {seconds['trial_by_trial']:.0f} s ({ratios['trial_by_trial/lockstep']:.2f} times that); one fit after"
        f" another {seconds['fit_by_fit']:.0f} s ({ratios['fit_by_fit/lockstep']:.2f} times). The slow ones are scaled"
        f" from {len(few)} trials.",
        highlight=False,
    )
    return {
        "seconds": seconds,
        "ratios": ratios,
        "n_trials": len(wave),
        "epochs": epochs,
        "n_images": len(cohort.images),
    }


def sampled_trials(wave: Sequence[Asked], per_arm: int) -> list[Asked]:
    """Return some trials of every arm, spread evenly over the wave."""
    chosen = []
    for arm in dict.fromkeys(asked.target.arm for asked in wave):
        mine = [asked for asked in wave if asked.target.arm == arm]
        chosen += mine[:: max(1, len(mine) // per_arm)][:per_arm]
    return chosen


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _statistics(console: Console) -> dict[str, float]:
    """Time the patient bootstrap in a process of its own, for its peak of memory."""
    done = subprocess.run(
        [sys.executable, "-m", "study.benchmarks.stats_speed"], capture_output=True, text=True, check=True
    )
    facts: dict[str, float] = json.loads(done.stdout)
    console.print(
        f"{facts['replicates']:.0f} patient-bootstrap replicates of the AUC, {facts['rows']:.0f} images,"
        f" {facts['cells']:.0f} cells, all differences: {facts['seconds']:.1f} s, peak memory"
        f" {facts['peak_mib']:.0f} MiB",
        highlight=False,
    )
    return facts


def _pack(console: Console) -> dict[str, float]:
    """Time the paper pack in a process of its own, for its peak of memory."""
    done = subprocess.run(
        [sys.executable, "-m", "study.benchmarks.report_speed"], capture_output=True, text=True, check=True
    )
    facts: dict[str, float] = json.loads(done.stdout)
    console.print(
        f"paper pack of {facts['images']:.0f} images, 4 arms and the baseline, 5 folds, 2000 replicates:"
        f" {facts['whole_pack_s']:.1f} s, without figures {facts['without_figures_s']:.1f} s ({facts['numbers_s']:.1f}"
        f" s of it the numbers), {facts['pack_mib']:.1f} MiB, peak memory {facts['peak_mib']:.0f} MiB",
        highlight=False,
    )
    return facts


def _audit(console: Console, subject: Subject, folder: Path) -> dict[str, float]:
    """Time the looks of an audit."""
    found = per_image(subject, folder / "audit")
    table = Table("look", "ms an image", "over reading", title=f"{len(subject.images)} images, every look from cold")
    for name, milliseconds in found.items():
        table.add_row(name, f"{milliseconds:.2f}", f"{milliseconds / found['reading']:.2f}")
    console.print(table)
    return found


def _bound(console: Console, task: Task) -> dict[str, Any]:
    console.print("measuring the lower bound")
    return _run("lower_bound", task)


def _facts(task: Task, full: StudyFile, results: dict[str, dict[str, Any]], cells_per_arm: int) -> dict[str, Any]:
    """Return seconds, ratios, memory, shares and what the full study would cost."""
    slow = [name for name in ("naive", "careful", "sequential") if name in results]
    seconds: dict[str, float] = {name: scaled(results[name], task.cells) for name in slow}
    seconds |= {name: results[name]["total"] for name in results if name not in slow}
    ratios = {
        f"{name}/lockstep": seconds[name] / seconds["lockstep"]
        for name in (*slow, "repeat", "tenfold")
        if name in seconds and "lockstep" in seconds
    }
    if "lower_bound" in seconds:
        ratios["lockstep/lower_bound"] = seconds["lockstep"] / seconds["lower_bound"]
    n_cells, epochs = len(task.cells), task.study.train.max_epochs
    facts: dict[str, Any] = {
        "seconds": seconds,
        "ratios": ratios,
        "peak_mib": {name: result["peak_mib"] for name, result in results.items() if name != "lower_bound"},
        "images_per_second": {
            name: _images_seen(task) / seconds[name]
            for name in ("naive", "careful", "sequential", "lockstep")
            if name in seconds
        },
        "lockstep_parts": results.get("lockstep", {}).get("parts", {}),
        "lower_bound_parts": results.get("lower_bound", {}).get("parts", {}),
        "n_images": len(task.cohort.images),
        "n_cells": n_cells,
        "epochs": epochs,
        "measured_cells": {name: len(results[name]["cells"]) for name in slow},
        "cells_per_arm": cells_per_arm,
        "model": {
            "backbone": full.model.backbone,
            "fine_tuned_blocks": full.model.fine_tuned_blocks,
            "image_size": full.data.image_size,
        },
        "machine": {
            "platform": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_gib": memory_gib(),
            "threads": full.run.threads,
            "device": full.run.device,
        },
        "command": ["python", "-m", "study.bench", *sys.argv[1:]],
    }
    runs = full.protocol.repeats * full.protocol.seeds
    facts["full_study"] = {
        name: seconds[name] * full.train.max_epochs / epochs * runs for name in (*slow, "lockstep") if name in seconds
    }
    facts["full_study_of"] = {"max_epochs": full.train.max_epochs, "runs": runs, "n_images": len(task.cohort.images)}
    return facts


def _images_seen(task: Task) -> int:
    """Return how many images all cells with an image branch train on or evaluate."""
    per_patient = task.cohort.images.groupby("patient_id").size()
    epochs = task.study.train.max_epochs
    seen = 0
    for cell in task.cells:
        if cell.config.uses_images:
            n = {part: int(per_patient.loc[list(ids)].sum()) for part, ids in cell.split.parts().items()}
            seen += epochs * (n["train"] + n["validation"]) + n["test"]
    return seen


def _show(console: Console, facts: dict[str, Any]) -> None:
    model, machine = facts["model"], facts["machine"]
    console.print(
        f"{facts['n_cells']} cells, {facts['n_images']} images, {facts['epochs']} epochs; {model['backbone']} at "
        f"{model['image_size']} pixels, {model['fine_tuned_blocks']} fine-tuned blocks; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['threads']} threads, {machine['device']}",
        highlight=False,
    )
    table = Table("contender", "seconds", "times lockstep", "images/s", "peak MiB", "full study", "measured")
    for name, seconds in facts["seconds"].items():
        if name == "lower_bound":
            continue
        ratio = seconds / facts["seconds"]["lockstep"] if "lockstep" in facts["seconds"] else float("nan")
        measured = facts["measured_cells"].get(name)
        table.add_row(
            name,
            f"{seconds:.1f}",
            f"{ratio:.2f}",
            f"{facts['images_per_second'].get(name, float('nan')):.1f}",
            f"{facts['peak_mib'][name]:.0f}",
            duration(facts["full_study"][name]) if name in facts["full_study"] else "",
            f"{measured} of {facts['n_cells']} cells, scaled" if measured else "all",
        )
    console.print(table)
    total = sum(facts["lockstep_parts"].values())
    if total:
        shares = ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in facts["lockstep_parts"].items())
        console.print(f"Lockstep's time: {shares}.", highlight=False)
    if "lower_bound" in facts["seconds"]:
        parts = ", ".join(f"{name} {part:.1f} s" for name, part in facts["lower_bound_parts"].items())
        console.print(
            "Lower bound (pure compute of one trunk pass an epoch, one clean pass and all tails):"
            f" {facts['seconds']['lower_bound']:.1f} s ({parts}); lockstep takes"
            f" {facts['ratios']['lockstep/lower_bound']:.2f} times that, decoding included.",
            highlight=False,
        )
    of = facts["full_study_of"]
    console.print(
        f"'Full study': these {of['n_images']} images, {of['max_epochs']} epochs (every fit to its last), {of['runs']} "
        "repeats times seeds; multiply by your number of images over these.",
        highlight=False,
    )


if __name__ == "__main__":
    app()
