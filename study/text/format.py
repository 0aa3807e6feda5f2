"""Format of numbers in text and tables: the only place where anything is rounded."""

import math
from decimal import ROUND_HALF_UP, Decimal

from study.text.number_style import style

NAMES = {
    "roc_auc": "AUC",
    "partial_auc": "Partial AUC (specificity 80 to 100 %)",
    "pr_auc": "PR-AUC",
    "sensitivity_at_90_specificity": "Sensitivity at the threshold set for 90 % specificity",
    "specificity_achieved": "Specificity achieved",
    "specificity_at_90_sensitivity": "Specificity at the threshold set for 90 % sensitivity",
    "sensitivity_achieved": "Sensitivity achieved",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "brier": "Brier score",
    "scaled_brier": "Scaled Brier score",
    "log_loss": "Log loss",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "calibration_in_the_large": "Calibration in the large",
    "ece": "ECE (positive class, 10 equal-width bins)",
    "ece_equal_mass": "ECE (positive class, 10 equal-mass bins)",
    "ppv": "PPV",
    "npv": "NPV",
}
SHARES = (
    "sensitivity_at_90_specificity",
    "specificity_achieved",
    "specificity_at_90_sensitivity",
    "sensitivity_achieved",
    "accuracy",
    "sensitivity",
    "specificity",
    "balanced_accuracy",
    "ppv",
    "npv",
)
"""Metrics shown as percentages with 1 decimal; the others have 3."""


def number(metric: str, value: float | None) -> str:
    """Return a value as text: 0.848, 91.3 %, or n/a."""
    if value is None or math.isnan(value):
        return "n/a"
    return f"{_digits(metric, value)}{style().percent * is_share(metric)}"


def _digits(metric: str, value: float) -> str:
    return _minus(_fixed(100 * value, 1) if is_share(metric) else _fixed(value, style().decimals))


def _fixed(value: float, digits: int, sign: str = "") -> str:
    """Return a value with so many decimals, half up; with `sign` `+` also of positive ones."""
    return f"{half_up(value, digits):{sign}z.{digits}f}"


def _minus(text: str) -> str:
    """Return the number with a minus sign: a hyphen could break off at the end of a line.

    What rounds to zero is formatted with `z`, without a sign.
    """
    return text.replace("-", "−").replace(".", style().point)


def is_share(metric: str) -> bool:
    """Whether a metric is shown as a percentage."""
    return metric in SHARES


def interval(metric: str, value: float, low: float, high: float) -> str:
    """Return `0.848 (0.794 to 0.902)` or `91.3 % (88.0 to 94.1)`."""
    if math.isnan(value) or math.isnan(low):
        return number(metric, value)
    return f"{number(metric, value)} {style().interval(_digits(metric, low), _digits(metric, high))}"


def count(n: int, one: str, several: str | None = None) -> str:
    """Return `1 image` or `3,000 images`."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


MANY = 1000


def auc_digits(n_patients: int) -> int:
    """Return how many decimals of an AUC, or of a difference of two, a sentence gives: the one rule of a report.

    Two for fewer than 1,000 patients, whose standard error of an AUC is above 0.01, so that a third says nothing; three
    from there on. Tables give three, so that differences can be checked and numbers found again.
    """
    return 2 if n_patients < MANY else 3


def place(repeat: int, fold: int, seed: int | None = None) -> str:
    """Return `repeat 1, fold 3, seed 1` for what files count from 0."""
    return f"repeat {repeat + 1}, fold {fold + 1}" + ("" if seed is None else f", seed {seed + 1}")


def listed(items: list[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def start(text: str) -> str:
    """Return a text with its first letter as a capital, as a sentence begins."""
    return text[:1].upper() + text[1:]


def characteristic(n: int, share: float, mean: float, sd: float) -> str:
    """Return a cell of Table 1: `57.1 (11.2)` for a mean, `12 (31.6)` for a share, else the count."""
    if not math.isnan(mean):
        return _minus(f"{_fixed(mean, 1)} ({_fixed(sd, 1)})")
    return f"{n:,}" if math.isnan(share) else f"{n:,} ({_fixed(100 * share, 1)})"


def signed(value: float) -> str:
    """Return a standardised difference: +0.46; what rounds to 0 has no sign."""
    if math.isnan(value):
        return "n/a"
    text = _fixed(value, 2, "+")
    return _minus(text if text.strip("+0.") else text.removeprefix("+"))


def plain(value: object) -> str:
    """Return a category: 2 for 2.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def difference(value: float) -> str:
    """Return a difference with its sign: +0.021, −0.013; what rounds to 0 has none."""
    if math.isnan(value):
        return "n/a"
    text = _fixed(value, style().decimals, "+")
    return _minus(text if text.strip("+0.") else text.removeprefix("+"))


def difference_interval(value: float, low: float, high: float) -> str:
    """Return `+0.021 (−0.004 to +0.046)`."""
    if math.isnan(value) or math.isnan(low):
        return difference(value)
    return f"{difference(value)} {style().interval(difference(low), difference(high))}"


def per_thousand(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Return a share of people as so many in 1000: `3.2 (−0.4 to 6.9)`."""
    ends = "" if math.isnan(low) else f" ({_fixed(1000 * low, 1)} to {_fixed(1000 * high, 1)})"
    return _minus(f"{_fixed(1000 * value, 1)}{ends}")


def p_equals(p: float) -> str:
    """Return `p = 0.012` or `p < 0.001`."""
    text = p_value(p)
    return f"p {text}" if text.startswith(("<", ">")) else f"p = {text}"


def p_value(p: float) -> str:
    """Return a p value with 3 decimals, `< 0.001` below that and `> 0.99` above: 1.000 would be certainty."""
    text = "n/a" if math.isnan(p) else "< 0.001" if p < 0.001 else "> 0.99" if p > 0.99 else _fixed(p, 3)
    return text.replace(".", style().point)


def whole(n: float) -> str:
    """Return a count with thousands separated: 1,448,033."""
    return "n/a" if math.isnan(n) else f"{half_up(n, 0):,.0f}"


SHARP = 1.5
"""Ends of a range that differ by less than this factor are not told apart."""
MILLION = 1_000_000


def patients(needed: float, low: float, high: float) -> str:
    """Return a number of patients that would be needed: `3,900 patients`, or the range `2,700 to 6,700 patients`.

    Two significant digits, rounded up: more would pretend.
    """
    if low > MILLION:
        return "more than a million patients"
    if high < SHARP * low:
        return f"{two_digits(needed)} patients"
    upper = "more than a million" if high > MILLION else two_digits(high)
    return f"{two_digits(low)} to {upper} patients"


def two_digits(n: float) -> str:
    """Return a count rounded up to two significant digits: 8,900."""
    step = 10 ** max(len(str(math.ceil(n))) - 2, 0)
    return f"{math.ceil(n / step) * step:,}"


def mean_count(n: float, n_runs: int) -> str:
    """Return a count that is a mean over runs: `52.3`, also `52.0`; `52` of a single run."""
    return f"{half_up(n, 0):.0f}" if n_runs == 1 else _fixed(n, 1)


def mean_counts(first: float, second: float, n_runs: int) -> tuple[str, str]:
    """Return two counts that add up to a whole number, so that what is shown adds up to it too."""
    shown = mean_count(first, n_runs)
    return shown, mean_count(round(first + second) - float(shown), n_runs)


def half_up(value: float, digits: int) -> float:
    """Return a value rounded to so many decimals, halves away from 0, as a reader does it by hand.

    Twelve digits count, beyond which arithmetic leaves its traces: 0.285 is 0.29, though the nearest binary number lies
    below, and 28.749999999999996 is 28.8.
    """
    if not math.isfinite(value):
        return float(value)
    return float(Decimal(f"{value:.12g}").quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def span(low: float, high: float) -> str:
    """Return the range of a count: `3 to 8`, or `8` where it is always the same."""
    return whole(low) if low == high or math.isnan(low) else f"{whole(low)} to {whole(high)}"


def tenths(value: float) -> str:
    """Return a quantity such as seconds with 1 decimal: 14.1."""
    return "n/a" if math.isnan(value) else _minus(f"{half_up(value, 1):z,.1f}")


def percentage(share: float) -> str:
    """Return a share as a percentage without needless zeros: 0.3 %, 1.25 %, 5 %, 90 %."""
    return f"{100 * share:.3g} %" if share < 0.1 else f"{100 * share:g} %"


def percent(share: float) -> str:
    """Return a share as a percentage with 1 decimal: 34.4 %."""
    return "n/a" if math.isnan(share) else _minus(f"{_fixed(100 * share, 1)}{style().percent}")


def probability(p: float) -> str:
    """Return a posterior probability with 2 decimals, `< 0.01` and `> 0.99` beyond."""
    if math.isnan(p):
        return "n/a"
    return "< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else _fixed(p, 2)
