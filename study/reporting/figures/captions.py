"""Captions of figures, made from the numbers: level, n, what intervals are about, what lines, bands and dots mean."""

from collections.abc import Sequence

import pandas as pd

from study.reporting.figures.caption_facts import CaptionFacts
from study.text.format import count, listed, percentage

FITTED = "95 % interval for these fitted models on new patients"


def main(f: CaptionFacts, chosen: Sequence[str]) -> str:
    """Caption of the two-panel figure of some arms."""
    which = "every model" if len(chosen) == f.n_arms else f"{len(chosen)} of {f.n_arms} models"
    band = ", shaded: its pointwise 95 % band over patients" if len(chosen) <= f.few else ""
    return (
        f"Discrimination and calibration of {which}, {f.unit} level, {f.tested} ({f.n}). (a) ROC"
        f" curve{f.mean}{band}; below"
        f" it the AUC{f.within} with its {FITTED}. Overlapping intervals do not tell whether two models differ."
        f" (b) Calibration: observed share of positives by predicted probability, smoothed (logistic"
        " regression on a restricted cubic spline with three knots, or on the logit alone with fewer than 30"
        " patients of a class) where 98 % of the predictions lie;"
        f" {f.probabilities}. Below, the distribution of each model's"
        " predictions on one scale: positives upwards in colour, negatives downwards in grey. Grey lines: chance (a),"
        f" perfect calibration (b).{f.runs}"
    )


def roc_pr(f: CaptionFacts) -> str:
    """Caption of the ROC and precision-recall curves."""
    points = (
        " Marks: operating points as in the tables, over all folds, which need not lie on the mean curve; precision is"
        " at the cohort's share of positives."
    )
    return (
        f"ROC and precision-recall curves, {f.unit} level, {f.tested} ({f.n}). Line{f.mean}, not smoothed. Shaded:"
        f" pointwise 95 % band over patients for these fitted models (bootstrap). AUC and PR-AUC (average"
        f" precision){f.within}, with the {FITTED}.{points} Grey: a score without information."
    )


def contrasts(f: CaptionFacts, comparisons: pd.DataFrame, delta: float) -> str:
    """Caption of the forest plot of contrasts."""
    methods = list(dict.fromkeys(comparisons["e2_method"]))
    how = " or ".join(methods) + ("; the table says which" if len(methods) > 1 else "")
    trained = (
        f" Thin line: 95 % interval of the difference if the models were trained again on a similar cohort ({how})."
        if comparisons["e2_low"].notna().any()
        else " A single split has no spread between folds, so that nothing is said of training again."
    )
    each = "Circles: difference of each training seed" if f.n_seeds > 1 else "Circle: the one training seed"
    baseline = "; the logistic regression has one, which stands for all" if f.baseline and f.n_seeds > 1 else ""
    return (
        f"{'Declared comparisons' if f.declared else 'Comparisons'}: difference of the ROC-AUC, {f.unit} level"
        f" ({f.n}), the first model minus the second, paired by {f.unit} and test part. Diamond:"
        f" {'mean over' if f.n_parts > 1 else 'difference on'} {f.parts}. Thick line: {FITTED} (fold-stratified"
        f" clustered DeLong).{trained} Intervals are not adjusted for their number; p values and verdicts are (Holm)."
        f" {each}{baseline}. Shaded: ±{delta:g}, {'taken' if f.imported else 'declared'} as unimportant."
    )


def auc_by_fold(f: CaptionFacts) -> str:
    """Caption of the dots by fold."""
    seeds = f", mean over {f.n_seeds} training seeds with their range" if f.n_seeds > 1 else ""
    repeats = f" Each fold number has the folds of {count(f.n_repeats, 'repeat')}." if f.n_repeats > 1 else ""
    return (
        f"ROC-AUC of each test fold, {f.unit} level ({f.n}){seeds}, in the order of the folds.{repeats} Diamond:"
        " mean over"
        f" all test folds with the {FITTED}. The spread of the dots is not the uncertainty of their mean. Grey:"
        " chance."
    )


def calibration(f: CaptionFacts, *, before: bool) -> str:
    """Caption of the calibration curves by arm."""
    dotted = " Dotted: the same before scaling." if before else ""
    return (
        f"Calibration, {f.unit} level, {f.tested} ({f.n}): observed share of positives by predicted probability;"
        f" {f.probabilities}. Line: smoothed (logistic regression on a restricted cubic spline with three knots,"
        " or on the logit alone with fewer than 30 patients of a class)"
        " where"
        f" 98 % of the predictions lie.{dotted} Circles: tenths of the {f.unit}s by prediction, with the {FITTED}"
        " (Wilson"
        " with the patients' design effect). Grey diagonal: perfect calibration. Below: distribution of the"
        " predictions in"
        f" per cent of all {f.unit}s, on one scale; positives upwards in colour, negatives downwards in grey.{f.runs}"
    )


def decision(f: CaptionFacts, prevalence: float, ends: tuple[float, float], *, declared: bool) -> str:
    """Caption of the decision curves."""
    band = f" Shaded: pointwise {FITTED} (bootstrap)." if f.n_arms <= f.few else ""
    low, high = (percentage(end) for end in ends)
    which = "the declared thresholds" if declared else "thresholds"
    return (
        f"Decision curves, {f.unit} level ({f.n}), at the declared prevalence of {100 * prevalence:g} %: net"
        " benefit by"
        f" the probability from which people are recalled, for {which} from {low} to {high} (logarithmic axis)."
        " Probabilities and sensitivity are the cohort's, restated at that prevalence. A model is of use at a"
        " threshold"
        f" where its curve lies above both recalling everybody and recalling nobody.{band}"
    )


def confusion(f: CaptionFacts) -> str:
    """Caption of the confusion matrices."""
    runs = f"mean of {count(f.n_repeats * f.n_seeds, 'run')}" if f.n_repeats * f.n_seeds > 1 else "one run"
    return (
        f"Confusion matrices, {f.unit} level, {f.tested} ({f.n}), called positive at a probability of 0.5 or"
        " more, over all"
        f" folds, {runs}; {f.probabilities}. In brackets: per cent of the true class. Blue: right; orange: wrong; the"
        " darker, the larger the share. 0.5 is a convention, not an operating point."
    )


def risk(f: CaptionFacts) -> str:
    """Caption of the distributions of probabilities."""
    several = ", the negatives by status" if len(f.negatives) > 1 else ""
    return (
        f"Distribution of the predicted probabilities by class{several}, {f.unit} level, {f.tested} ({f.n});"
        f" {f.probabilities}. Coloured: positive; grey: negative. Heights are shares of the class, on one scale"
        " for all"
        f" panels (bar at the right). Below each: median and quartiles.{f.runs}"
    )


def subgroups(f: CaptionFacts, lines: pd.DataFrame) -> str:
    """Caption of the forest plot by subgroup."""
    left_out = lines[lines["suppressed"].astype(bool)].drop_duplicates(["column", "group"])
    names = [f"{column} {group}" for column, group in left_out[["column", "group"]].astype(str).to_numpy()]
    small = f" Not analysed, with fewer than 10 positive or negative patients: {listed(names)}." if names else ""
    drawn = lines[~lines["suppressed"].astype(bool)]
    by_image = sorted(drawn.loc[drawn["level"] == "image", "column"].astype(str).unique()) if f.unit != "image" else []
    images = f" {listed(by_image).capitalize()}: by image, because it varies within a patient." if by_image else ""
    return (
        f"ROC-AUC by subgroup, {f.unit} level ({f.n}): over pairs of the same test part and subgroup, with 95 %"
        " patient-bootstrap intervals for these fitted models, not adjusted for their number. Dashed: the model's AUC"
        f" overall, at the level of the rows; grey: 0.5.{images}{small} n: patients, in brackets positive ones."
        " Whether"
        " subgroups differ is for the interaction tests of the table, not for the overlap of intervals."
    )


LINES = "Line: median over {n}; band: quartiles. Fits that stopped early keep their last value."
DURING = "Training values are taken during training, on augmented images with dropout"


def training(which: str, n_fits: str, *, validated: bool = True) -> str:
    """Caption of `loss_accuracy`, `f1_auc` or `generalisation_gap`; the first two also for refits."""
    lines = LINES.format(n=n_fits)
    names = {
        "loss_accuracy": "Log loss and accuracy by epoch, image level",
        "f1_auc": "F1 at probability 0.5 (not calibrated) and ROC-AUC by epoch, image level",
        "generalisation_gap": "Generalisation gap: validation minus training log loss by epoch, image level",
    }
    if not validated:
        return (
            f"{names[which]}, training rows alone: after a nested search models are refitted on the whole"
            " training part,"
            " without validation rows, for the number of epochs that the search found."
            f" {lines.replace('Fits that stopped early', 'Shorter fits')} {DURING}."
        )
    ends = {
        "loss_accuracy": ", so they may lie below validation.",
        "f1_auc": ".",
        "generalisation_gap": ", which lowers the gap.",
    }
    above = " Above 0 the fit is worse on patients it has not seen." if which == "generalisation_gap" else ""
    return f"{names[which]}. {lines}{above} {DURING}{ends[which]}"


def comprehensive(f: CaptionFacts, arm: str, n_fits: str) -> str:
    """Caption of the six panels about one arm."""
    return (
        f"{arm} in six panels. (a) Log loss and (b) accuracy by epoch, on training and validation images; (c) AUC"
        " and F1 (at"
        " probability 0.5, not calibrated) on validation images; (d) generalisation gap, validation minus"
        " training log"
        f" loss. {LINES.format(n=n_fits)} {DURING}. (e) Confusion matrix, {f.unit} level, {f.tested} ({f.n}), at a"
        " probability of 0.5, mean of a run, in brackets per cent of the true class. (f) ROC curve"
        f"{f.mean}; shaded: pointwise 95 % band over patients; AUC with its {FITTED}. Triangles: thresholds for 90 %"
        " specificity (up) and 90 % sensitivity (down); circle: probability 0.5."
    )


def flow(*, out: bool, row: str) -> str:
    """Caption of the flow diagram."""
    reasons = f" Each {row} that was left out is counted once, under the first reason that applies." if out else ""
    return (
        f"Flow of {row}s and patients.{reasons} A patient with {row}s of several statuses or reasons counts under"
        " each;"
        " the number used is that of different patients."
    )
