"""What `study.bench` prints of each kind of measurement."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from study.console.live_view import duration
from study.stats.comparison import SMALL_GAIN

Facts = Mapping[str, Any]


def show_contest(console: Console, facts: Facts) -> None:
    """Print the contenders' times, and where lockstep's time goes."""
    model, machine = facts["model"], facts["machine"]
    console.print(
        f"{facts['n_cells']} cells, {facts['n_images']} images, {facts['epochs']} epochs; {model['backbone']} at "
        f"{model['image_size']} pixels, {model['fine_tuned_blocks']} fine-tuned blocks; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['device']}; the loops use all cores, lockstep as many processes as pay",
        highlight=False,
    )
    table = Table("contender", "seconds", "times lockstep", "images/s", "peak MiB", "full study", "measured")
    for name in facts["seconds"]:
        if name != "lower_bound":
            table.add_row(name, *_contender_row(facts, name))
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


def _contender_row(facts: Facts, name: str) -> tuple[str, ...]:
    seconds, lockstep = facts["seconds"][name], facts["seconds"].get("lockstep", float("nan"))
    measured = facts["measured_cells"].get(name)
    return (
        f"{seconds:.1f}",
        f"{seconds / lockstep:.2f}",
        f"{facts['images_per_second'].get(name, float('nan')):.1f}",
        f"{facts['peak_mib'][name]:.0f}",
        duration(facts["full_study"][name]) if name in facts["full_study"] else "",
        f"{measured} of {facts['n_cells']} cells, scaled" if measured else "all",
    )


def show_search(console: Console, facts: Facts) -> None:
    """Print how one wave of trials compares with its trials one after another."""
    seconds, ratios = facts["seconds"], facts["ratios"]
    console.print(
        f"One wave of {facts['n_trials']} trials, {facts['n_fits']} fits of {facts['epochs']} epochs,"
        f" {facts['n_images']} images: lockstep {seconds['lockstep']:.0f} s; one trial after another"
        f" {seconds['trial_by_trial']:.0f} s ({ratios['trial_by_trial/lockstep']:.2f} times that); one fit after"
        f" another {seconds['fit_by_fit']:.0f} s ({ratios['fit_by_fit/lockstep']:.2f} times). The slow ones are scaled"
        f" from {facts['n_measured']} trials.",
        highlight=False,
    )


def show_workers(console: Console, facts: Facts) -> None:
    """Print how the time of one study falls with the number of processes, and what bounds it."""
    table = Table("processes", "seconds", "times as fast", "bound, seconds", "peak MiB", title=_study_line(facts))
    names = ("workers", "seconds", "speed_up", "bound", "peak_mib")
    for number, seconds, speed_up, bound, peak in zip(*(facts[name] for name in names), strict=True):
        table.add_row(str(number), f"{seconds:.1f}", f"{speed_up:.2f}", f"{bound:.1f}", f"{peak:.0f}")
    console.print(table)
    work = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in facts["parts"].items())
    console.print(
        f"Work of the first row: {work}. The bound shares it evenly, or is the time of the process that trains most"
        " models, whichever is longer. Starting the processes counts in the seconds.",
        highlight=False,
    )


def show_contention(console: Console, facts: Facts) -> None:
    """Print how much longer a study takes beside a busy process."""
    before, after = facts["alone_seconds"]
    console.print(
        f"{_study_line(facts)}: {before:.1f} and {after:.1f} s alone, {facts['beside_seconds']:.1f} s beside a busy"
        f" process, {facts['ratio']:.2f} times as long.",
        highlight=False,
    )


def _study_line(facts: Facts) -> str:
    return (
        f"{facts['n_cells']} cells, {facts['n_images']} images, {facts['epochs']} epochs, {facts['cores']} cores,"
        f" run.threads = {facts['threads']}"
    )


def show_audit(console: Console, facts: Facts) -> None:
    """Print the time of each look of an audit."""
    table = Table("look", "ms an image", "over reading", title="Every look from cold")
    for name, milliseconds in facts.items():
        table.add_row(name, f"{milliseconds:.2f}", f"{milliseconds / facts['reading']:.2f}")
    console.print(table)


def show_statistics(console: Console, facts: Facts) -> None:
    """Print the time and memory of the patient bootstrap."""
    console.print(
        f"{facts['replicates']:.0f} patient-bootstrap replicates of the AUC, {facts['rows']:.0f} images,"
        f" {facts['cells']:.0f} cells, all differences: {facts['seconds']:.1f} s, peak memory"
        f" {facts['peak_mib']:.0f} MiB",
        highlight=False,
    )


def show_pack(console: Console, facts: Facts) -> None:
    """Print the time, size and memory of a paper pack."""
    console.print(
        f"paper pack of {facts['images']:.0f} images, 4 arms and the baseline, 5 folds, 2000 replicates:"
        f" {facts['whole_pack_s']:.1f} s, without figures {facts['without_figures_s']:.1f} s ({facts['numbers_s']:.1f}"
        f" s of it the numbers), {facts['pack_mib']:.1f} MiB, peak memory {facts['peak_mib']:.0f} MiB",
        highlight=False,
    )


def show_coverage(console: Console, facts: Facts) -> None:
    """Print coverage by method and size, and how often each verdict is reached."""
    console.print(_coverage_table(pd.DataFrame(facts["coverage"])), _verdict_table(pd.DataFrame(facts["verdicts"])))


def _coverage_table(coverage: pd.DataFrame) -> Table:
    """Return the range over prevalences and AUCs without a true difference."""
    null = coverage[coverage["difference"] == 0]
    sizes = sorted(coverage["n_patients"].unique())
    title = "Coverage of 95 % intervals, % (least to greatest over prevalence and AUC)"
    table = Table("quantity", "estimand", "method", *(f"n = {n}" for n in sizes), "width at 150", title=title)
    for labels, rows in null.groupby(["quantity", "estimand", "method"], sort=False):
        ranges = [_range(rows.loc[rows["n_patients"] == n, "coverage"]) for n in sizes]
        width = rows.loc[rows["n_patients"] == 150, "width"].mean()
        table.add_row(*map(str, labels), *ranges, f"{width:.3f}")
    return table


def _verdict_table(verdicts: pd.DataFrame) -> Table:
    """Return how often each verdict is reached, by size and true difference at AUC 0.8."""
    names = ("better", "worse", "equivalent", "non-inferior", SMALL_GAIN, "inconclusive", "naive paired t")
    table = Table("n", "prevalence", "true difference", *names, title="Verdicts at AUC 0.8, % of studies (δ = 0.02)")
    at_08 = verdicts[verdicts["area"] == 0.8].sort_values(["n_patients", "prevalence", "difference"])
    for row in at_08.to_dict("records"):
        shares = (f"{100 * row[name]:.1f}" for name in names)
        table.add_row(str(row["n_patients"]), f"{row['prevalence']:g}", f"{row['difference']:g}", *shares)
    return table


def _range(values: pd.Series) -> str:
    low, high = f"{100 * values.min():.1f}", f"{100 * values.max():.1f}"
    return low if low == high else f"{low} to {high}"


SCREENS: dict[str, Callable[[Console, Facts], None]] = {
    "contest": show_contest,
    "search": show_search,
    "workers": show_workers,
    "contention": show_contention,
    "audit": show_audit,
    "statistics": show_statistics,
    "pack": show_pack,
    "coverage": show_coverage,
}
"""Kind of measurement -> what prints it."""
