"""Checks of the clinical columns: they may tell too much, by their values or by being absent."""

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from mmbc.data.tables import target_leakage
from mmbc.errors import some
from study.checks.subject import Subject
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding

STRONG = 0.85
"""A column with which, alone, the classes are told apart this well is worth a look."""
APART = 0.10
"""Shares of missing values this far apart between the classes are worth a look, if chance does not explain them."""
P = 0.01
NONE = "The cohort has no clinical column."


def telling(subject: Subject) -> Finding:
    """A22: columns that tell the classes apart too well, alone."""
    if not subject.features:
        return Finding("A22", NOT_CHECKED, NONE)
    level = "breast" if subject.unit == "breast" else "case"
    found = target_leakage.separation(subject.images, subject.features, level)
    rows = tuple({"column": name, "AUC alone": area} for name, area in found.items())
    text = "; ".join(f"{name} {area:.2f}" for name, area in sorted(found.items(), key=lambda item: -item[1])[:5])
    sure, strong = (sorted(name for name in found if found[name] >= least) for least in (target_leakage.AUC, STRONG))
    if sure:
        allowed = set(sure) <= set(subject.tolerance.allow_leaky)
        verb = "determines" if len(sure) == 1 else "determine"
        return Finding(
            "A22",
            WARNING if allowed else FAILED,
            f"{some(sure)} nearly {verb} the label (AUC of at least {target_leakage.AUC:g}). AUC alone: {text}.",
            "allowed, and said among the limitations" if allowed else "",
            rows,
        )
    if strong:
        verb = "tells" if len(strong) == 1 else "tell"
        return Finding(
            "A22", WARNING, f"{some(strong)} {verb} a lot (AUC of at least {STRONG:g}). AUC alone: {text}.", rows=rows
        )
    return Finding("A22", PASSED, f"AUC alone: {text}; below {STRONG:g}.", rows=rows)


def missing_by_class(subject: Subject) -> Finding:
    """A23: columns that are missing more often in one class; compared over patients by Fisher's exact test."""
    if not subject.features:
        return Finding("A23", NOT_CHECKED, NONE)
    names = [feature.name for feature in subject.features]
    patients = subject.images.groupby("patient_id")[["label", *names]].agg(
        {"label": "max"} | dict.fromkeys(names, "first")
    )
    positive = patients["label"] == 1
    rows, apart = [], []
    for name in names:
        gone = patients[name].isna()
        counts = np.array([[int((gone & side).sum()), int((~gone & side).sum())] for side in (positive, ~positive)])
        shares = counts[:, 0] / np.maximum(counts.sum(axis=1), 1)
        p = float(fisher_exact(counts).pvalue)
        rows.append({"column": name, "missing in positives": shares[0], "in negatives": shares[1], "p": p})
        if abs(shares[0] - shares[1]) >= APART and p < P / len(names):
            apart.append(f"{name} ({100 * shares[0]:.0f} % of positives, {100 * shares[1]:.0f} % of negatives)")
    if apart:
        return Finding("A23", FAILED, f"Missing more often in one class: {some(apart)}.", rows=tuple(rows))
    table = pd.DataFrame(rows).set_index("column")
    shares = table.iloc[int((table["missing in positives"] - table["in negatives"]).abs().to_numpy().argmax())]
    return Finding(
        "A23",
        PASSED,
        f"Shares of missing values differ most in {shares.name}: {100 * shares['missing in positives']:.1f} % of"
        f" positive, {100 * shares['in negatives']:.1f} % of negative patients.",
        rows=tuple(rows),
    )
