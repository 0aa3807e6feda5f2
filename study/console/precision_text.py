"""Expected precision in words: for `study.precision` and the dry run."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from study.reporting.facts.prose import render
from study.stats.planner import Interval, Plan, PlanResult, SampleSize
from study.stats.procedure import CORRECTED, PROCEDURE
from study.text.format import count, interval, number, two_digits


def lines(result: PlanResult) -> list[tuple[str, str]]:
    """Return labels and values in words, for a table of two columns."""
    inputs = result.inputs
    positive, negative = inputs.per_fold
    delta, power = number("roc_auc", inputs.delta), f"{100 * inputs.power:.0f} %"
    reach, precision = number("roc_auc", result.equivalence_half_width), number("roc_auc", inputs.half_width)
    return [
        ("patients in a test fold", f"{positive:.1f} positive, {negative:.1f} negative"),
        ("AUC of patients, 95 %, fitted models", _interval(inputs.auc, result.e1_patient)),
        ("AUC of images, 95 %, fitted models", _interval(inputs.auc, result.e1_image)),
        ("AUC of patients, 95 %, trained again", f"width {number('roc_auc', result.e2_width)} ({_method(inputs)})"),
        ("standard error of a difference", _both(result.se_difference_e1, result.se_difference_e2)),
        (f"difference found, power {power}", _detectable(inputs.auc, result.detectable_e1, result.detectable_e2)),
        ("90 % interval, difference, trained again", f"±{reach}; δ is {delta}"),
        (f"chance of 'equivalent', ±{delta}", _share(result.equivalence_chance)),
        (f"for an interval of ±{precision}, fitted models", _patients(result.patients_precision)),
        (f"to find {delta}, fitted models", _patients(result.patients_difference_e1)),
        (f"to find {delta}, trained again", _patients(result.patients_difference_e2)),
        (f"for 'equivalent', ±{delta}, trained again", _patients(result.patients_equivalence)),
    ]


def table(result: PlanResult) -> Table:
    """Return the lines as a table for the terminal."""
    inputs = result.inputs
    title = (
        f"{inputs.n_patients} patients, prevalence {inputs.prevalence:g}, {inputs.folds} folds, "
        f"{count(inputs.repeats, 'repeat')}"
    )
    shown = Table("expected", "value", title=title)
    for label, value in lines(result):
        shown.add_row(label, value)
    return shown


def facts(result: PlanResult) -> dict[str, Any]:
    """Return the numbers, the lines of the table and the sentences, for `--json`."""
    sentences = {"assumptions": assumptions(result.inputs), "resolution": resolution(result)}
    return {**asdict(result), "lines": dict(lines(result)), **sentences}


def resolution(result: PlanResult) -> str:
    """Return the sentence whether δ, the region of practical equivalence, can be resolved."""
    inputs = result.inputs
    return render(
        "precision",
        fits=result.delta_fits,
        weak=result.equivalence_chance < inputs.power,
        delta=number("roc_auc", inputs.delta),
        reach=number("roc_auc", result.equivalence_half_width),
        patients=_patients(result.patients_equivalence),
        power=_share(inputs.power),
        chance=_share(result.equivalence_chance),
    )


def assumptions(inputs: Plan) -> str:
    """Return the assumptions of the plan, and what its intervals describe."""
    auc = number("roc_auc", inputs.auc)
    return render("precision_assumptions", auc=auc, icc=f"{inputs.icc:g}", correlation=f"{inputs.correlation:g}")


def _method(inputs: Plan) -> str:
    return CORRECTED if inputs.repeats == 1 else PROCEDURE


def _interval(auc: float, expected: Interval) -> str:
    return f"{interval('roc_auc', auc, expected.low, expected.high)}, width {number('roc_auc', expected.width)}"


def _both(e1: float, e2: float) -> str:
    return f"{number('roc_auc', e1)} (fitted), {number('roc_auc', e2)} (trained again)"


def _detectable(auc: float, e1: float, e2: float) -> str:
    """Return the differences that can be found, `none` where an AUC cannot be that much higher."""
    e1_text, e2_text = (
        number("roc_auc", d) if auc + d < 1 else f"none above {number('roc_auc', auc)}" for d in (e1, e2)
    )
    return f"{e1_text} (fitted), {e2_text} (trained again)"


def _share(value: float) -> str:
    """Return a probability in words."""
    return "below 1 %" if value < 0.01 else "above 99 %" if value > 0.99 else f"{100 * value:.0f} %"


def _patients(needed: SampleSize) -> str:
    """Return a number of patients to two significant digits: more would pretend."""
    if needed.n_patients is None:
        return needed.reason
    return f"about {two_digits(needed.n_patients)} patients" + (f" ({needed.reason})" if needed.reason else "")
