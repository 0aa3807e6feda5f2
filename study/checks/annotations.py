"""Checks of what was drawn on images: colours, curves, markers, and what remains where outlines were removed."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from mmbc.data.images import marks
from mmbc.errors import some
from study.checks.check import Outcome, check, failed, passed, warning
from study.checks.probes import FEWEST, Comparison, comparisons, shown
from study.checks.subject import Subject, given
from study.checks.trace_verdict import judge_traces
from study.checks.verdict import TELLING, row_of
from study.records.finding import FAILED, PASSED, WARNING
from study.stats import auc
from study.stats.estimate import Estimate

GROUP = "annotations in pixels"
STRAY_CURVES = 0.02
"""Share of a class's images with a loop that nobody drew (vessels, skin folds, scratches); 0.6 % in Mini-DDSM v1."""


@check(
    "A09",
    "coloured annotations",
    group=GROUP,
    question="Are there saturated colours in grey images? How well does their number alone tell the classes apart?",
    meaning="Somebody drew the diagnosis into the image, and a network reads it.",
    remedy="Get the images without annotations. In Mini-DDSM version 1 outlines are removed by default"
    " (`--outlines sham`).",
    needs=("pixels",),
)
def colours(subject: Subject) -> Outcome:
    """Coloured pixels in grey images; where all are those of outlines that are taken out, A12 says what is left."""
    pixels = given(subject.pixels)
    table = pixels.appearance.table
    outcome = counted("coloured annotations", table["n_coloured"].to_numpy(), subject, 0.0)
    n_colour = int((table["colour_share"] >= marks.COLOURED_THROUGHOUT).sum())
    if n_colour:
        which = "1 image is" if n_colour == 1 else f"{n_colour} images are"
        evidence = f"{outcome.evidence} {which} in colour throughout, where no annotation can be told from the rest."
        outcome = replace(outcome, status=WARNING if outcome.status == PASSED else outcome.status, evidence=evidence)
    outlined = (pixels.facts["n_outline_pixels"] > 0).to_numpy()
    all_outlines = bool(((table["n_coloured"] > 0).to_numpy() <= outlined).all())
    if outcome.status != FAILED or not all_outlines or subject.data.outlines == "keep":
        return outcome
    handled = f"outlines are removed ({subject.data.outlines}); what remains: A12"
    return replace(outcome, status=WARNING, handled=handled)


@check(
    "A10",
    "drawn curves",
    group=GROUP,
    question="Are there thin closed curves of even grey? How well does their number alone tell the classes apart?",
    meaning="Somebody may have drawn the diagnosis into the image in black or white (as in A09), and a network"
    " reads it.",
    remedy="Look at the images that are named; get them without the drawing, or leave them out.",
    needs=("pixels",),
)
def curves(subject: Subject) -> Outcome:
    """Thin closed curves in black or white, as outlines are after a conversion to grey."""
    counts = given(subject.pixels).appearance.table["n_curves"].to_numpy()
    return counted("thin closed curves in black or white", counts, subject, STRAY_CURVES)


@check(
    "A11",
    "markers at the borders",
    group=GROUP,
    question="Are there letters, labels or markers outside the breast? How well does their number alone tell the"
    " classes apart?",
    meaning="Markers name hospitals, devices and wards, which have their own share of cancers.",
    remedy="Crop to the breast: `--set data.crop=breast`; look at the result within sites.",
    needs=("pixels",),
)
def markers(subject: Subject) -> Outcome:
    """Text and markers beside the breast."""
    counts = given(subject.pixels).appearance.table["n_markers"].to_numpy()
    return counted("text or markers beside the breast", counts, subject, 0.0)


def counted(what: str, counts: np.ndarray, subject: Subject, stray: float) -> Outcome:
    """Outcome for a count (n_images,): FAILED where it tells classes apart, WARNING where there are some.

    Args:
        what: the images have, in words.
        counts: how much of it each image has.
        subject: the cohort.
        stray: share of a class's images that may have it without a warning.
    """
    images = subject.images
    has = pd.Series(counts > 0, index=images.index).groupby(images["status"].astype(str))
    n_with, n = has.sum(), has.size()
    if not n_with.any():
        return passed(f"None of {len(images)} images has {what}.")
    rows, worst = [], (0.5, "")
    for comparison in comparisons(images, subject.positive):
        for area in _areas(counts, images, comparison):
            with_it = [_share(counts[comparison.rows & (comparison.label == label)] > 0) for label in (1, 0)]
            rows.append(row_of(comparison, area) | {"level": area.level, "images with it": " against ".join(with_it)})
            apart = max(area.low, 1 - area.high)  # many in one class, or few
            worst = max(worst, (apart, f"AUC {shown(area)} per {area.level} for {comparison.name}"))
    shares = ", ".join(f"{n_with[name]} of {n[name]} {name}" for name in n.index)
    evidence = (
        f"{int(n_with.sum())} of {len(images)} images have {what} ({shares}; {some(images['image_id'][counts > 0], 3)})"
    )
    if worst[0] >= TELLING:
        return failed(f"{evidence}: their number alone has {worst[1]}.", rows=rows)
    if (n_with <= stray * n).all():
        return passed(f"{evidence}; as many are found by chance in images without any drawing.", rows=rows)
    because = "their number does not tell the classes apart" if rows else "there are too few patients to say more"
    return warning(f"{evidence}; {because}.", rows=rows)


def _share(has: np.ndarray) -> str:
    return f"{int(has.sum())} of {len(has)}"


def _areas(counts: np.ndarray, images: pd.DataFrame, comparison: Comparison) -> list[Estimate]:
    """Return the AUC of a count per image and, of its sum, per patient; nothing is fitted, nothing said of few."""
    rows = comparison.rows
    frame = pd.DataFrame(
        {"patient": images["patient_id"].to_numpy()[rows], "label": comparison.label[rows], "count": counts[rows]}
    )
    people = frame.groupby("patient").agg(label=("label", "max"), count=("count", "sum")).reset_index()
    n_positive = int(people["label"].sum())
    n_negative = len(people) - n_positive
    if min(n_positive, n_negative) < FEWEST:
        return []
    areas = []
    for level, part in (("image", frame), ("patient", people)):
        area = auc.clustered_delong(
            part["label"].to_numpy(), part["count"].to_numpy()[None], part["patient"].to_numpy()
        )
        value = float(area.value[0])
        low, high = auc.logit_interval(value, float(area.se[0]))
        if math.isnan(low):
            low, high = auc.newcombe(value, n_positive, n_negative)
        areas.append(Estimate(value, low, high, level, "clustered DeLong", "E1", len(people), len(frame)))
    return areas


@check(
    "A12",
    "traces of removed outlines",
    group=GROUP,
    question="After the outlines are removed: how well do the treated mask, the treated pixels and their surroundings"
    " tell the classes apart?",
    meaning="A network may learn where something was removed instead of what was there.",
    remedy="Use `--outlines sham`; print what remains beside every result (reports do).",
    needs=("pixels",),
)
def traces(subject: Subject) -> Outcome:
    """What the treatment of outlines leaves."""
    pixels = given(subject.pixels)
    return judge_traces(pixels.traces, subject.data.outlines, pixels.n_outlined)
