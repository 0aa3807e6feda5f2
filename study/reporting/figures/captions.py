"""Captions of figures, made from the numbers: level, n, estimand of every interval, what lines, bands and dots mean."""

import pandas as pd

from study.evaluation.verdicts import e2_methods
from study.reporting.figures.caption_facts import CaptionFacts
from study.reporting.figures.curves import MOST_LINES, has_lines
from study.reporting.figures.parts import FEW
from study.text.format import count, listed

E1 = "E1: these fitted models on new patients"
E2 = "E2: the procedure trained again on another such cohort"


def main(f: CaptionFacts, chosen: list[str]) -> str:
    """Caption of the two-panel figure of some arms."""
    some = f"{len(chosen)} of {f.n_arms} arms, those of the declared contrasts first"
    which = "every arm" if len(chosen) == f.n_arms else some
    mean = (
        f", mean over {f.parts} of the sensitivity at each false positive rate" if f.n_parts > 1 else f" on {f.parts}"
    )
    return (
        f"Discrimination and calibration of {which}, {f.unit} level, {f.tested} ({f.n}). (a) ROC curve{mean}; the "
        f"AUC is that of the main table{f.within}, with its 95 % interval over patients ({E1}). Whether two "
        "intervals overlap decides nothing about a difference: arms are compared in pairs. (b) Observed share of "
        f"positives by predicted probability, in bins of equal numbers of {f.unit}s (those with less than 2 % of "
        f"them left out), {f.probabilities}; the figure of the calibration has their intervals. Below, each arm's "
        "histogram of predicted probabilities, scaled to its own highest bin. Grey: chance (a) and perfect "
        f"calibration (b).{f.runs}"
    )


def roc_pr(f: CaptionFacts) -> str:
    """Caption of the ROC and precision-recall curves."""
    spread = "10th to 90th percentile" if f.n_parts > MOST_LINES else "least to greatest"
    runs = f.n_repeats * f.n_seeds
    which = "single test folds" if runs == 1 else "the test folds of the first repeat and seed"
    thin = f"Thin: {which}; band" if has_lines(f.n_parts // runs, f.n_arms) else "Band"
    mean = (
        f" Thick: mean over {f.parts} of the sensitivity at each false positive rate, and of the precision at each "
        f"sensitivity (the step function whose area is the average precision). {thin}: {spread} of the test parts "
        "at each abscissa; this is their spread and no confidence band."
    )
    return (
        f"ROC and precision-recall curves, {f.unit} level, {f.tested} ({f.n}).{mean if f.n_parts > 1 else ''} AUC "
        f"and PR-AUC (average precision){f.within}, with 95 % intervals over patients ({E1}). Grey: what a score "
        "without information would give, the diagonal and the share of positives."
    )


def contrasts(f: CaptionFacts, comparisons: pd.DataFrame, delta: float) -> str:
    """Caption of the forest plot of contrasts."""
    methods = e2_methods(comparisons)
    e2 = (
        f" Thin: 95 % interval of E2 ({E2.partition(': ')[2]}; {methods})."
        if comparisons["e2_low"].notna().any()
        else " There is no E2 interval: a single split has no spread between folds."
    )
    dots = "Dots: mean difference of each training seed" if f.n_seeds > 1 else "Dot: the one training seed"
    baseline = ", the baseline having one that stands for all" if f.baseline and f.n_seeds > 1 else ""
    return (
        f"{'Declared contrasts' if f.declared else 'Contrasts'} of arms: difference of the ROC-AUC, {f.unit} level"
        f" ({f.n}), first minus second, paired by {f.unit} and test part. Diamond:"
        f" {'mean over' if f.n_parts > 1 else 'difference on'} {f.parts}. Thick: 95 % interval of E1"
        f" ({E1.partition(': ')[2]}; fold-stratified clustered DeLong).{e2} Intervals are not adjusted for their"
        f" number, verdicts are (Holm over the contrasts). {dots}{baseline}. Shaded: ±{delta:g},"
        f" {'taken' if f.imported else 'declared'} as without practical meaning."
    )


def auc_by_fold(f: CaptionFacts) -> str:
    """Caption of the fold-paired dots."""
    seeds = f", mean over {f.n_seeds} training seeds" if f.n_seeds > 1 else ""
    return (
        f"ROC-AUC of each test fold, {f.unit} level ({f.n}){seeds}. Grey lines join the same fold of the same "
        "repeat across arms. "
        f"Black: mean and 95 % interval over patients ({E1}). The spread of the dots is not the uncertainty of "
        "their mean."
    )


def calibration(f: CaptionFacts, *, before: bool) -> str:
    """Caption of the calibration curves by arm."""
    grey = " Grey: before scaling." if before else ""
    return (
        f"Calibration by arm, {f.unit} level, {f.tested} ({f.n}): observed share of positives against "
        "mean predicted "
        f"probability, in up to ten bins of equal numbers of {f.unit}s, with 95 % intervals of the observed share "
        "(Wilson with the "
        f"patients' design effect, {E1}); {f.probabilities}.{grey} Diagonal: perfect calibration. Below: histogram "
        "of the predicted "
        f"probabilities, per cent of {f.unit}s.{f.runs}"
    )


def decision(f: CaptionFacts, prevalence: float) -> str:
    """Caption of the decision curves."""
    others = " Pale: the other arms." if 1 < f.n_arms <= FEW else ""
    return (
        f"Decision curves, {f.unit} level ({f.n}), at the declared prevalence of {100 * prevalence:g} %: net "
        "benefit in true positives "
        "per 1000 people by the probability above which people are recalled (logarithmic axis). Probabilities and "
        "sensitivity are the "
        "cohort's, restated at that prevalence. Band: pointwise 95 % patient-bootstrap interval "
        f"({E1}). Dashed: recalling everybody; grey horizontal: recalling nobody.{others}"
    )


def confusion(f: CaptionFacts) -> str:
    """Caption of the confusion matrices."""
    return (
        f"Confusion matrices, {f.unit} level, {f.tested} ({f.n}), called positive at a probability of 0.5 or more, "
        f"pooled over folds; {f.probabilities}. Percentages are of the true class; 0.5 is a convention, not an "
        f"operating point.{f.runs}"
    )


def risk(f: CaptionFacts) -> str:
    """Caption of the distributions of probabilities."""
    several = ", the negatives by status" if len(f.negatives) > 1 else ""
    return (
        f"Distribution of the predicted probabilities by class{several}, {f.unit} level, out-of-fold predictions "
        f"({f.n}); "
        f"{f.probabilities}. Coloured: positive; grey: negative; each histogram is scaled to its highest bin. "
        "Below each: median and "
        f"quartiles.{f.runs}"
    )


def subgroups(f: CaptionFacts, lines: pd.DataFrame) -> str:
    """Caption of the forest plot by subgroup."""
    small = (
        " Subgroups with fewer than 10 positive or negative patients were not analysed."
        if lines["suppressed"].any()
        else ""
    )
    by_image = sorted(lines.loc[lines["level"] == "image", "column"].astype(str).unique()) if f.unit != "image" else []
    images = f" {listed(by_image).capitalize()}: by image, because it varies within a patient." if by_image else ""
    return (
        f"ROC-AUC by subgroup, {f.unit} level ({f.n}): over pairs of the same test part and subgroup, with 95 % "
        "patient-bootstrap "
        f"intervals ({E1}), not adjusted for their number. Dashed: the arm's AUC overall; grey: "
        f"0.5.{images}{small} Right: number of "
        "patients, positive ones in brackets. Whether subgroups differ is for the interaction tests of the table, "
        "not for the "
        "overlap of intervals."
    )


def training(which: str, n_fits: str, n_arms: int, *, validated: bool = True) -> str:
    """Caption of `loss_accuracy`, `f1_auc` or `generalisation_gap`; the first two also for refits."""
    band = f"Line: mean over {n_fits}; band: least to greatest. Fits that stopped early keep their last value."
    during = "Training values are taken during training, on augmented images with dropout"
    if not validated:
        band = band.replace("Fits that stopped early", "Shorter fits")
        names = {
            "loss_accuracy": "Log loss and accuracy",
            "f1_auc": "F1 at probability 0.5 (not calibrated) and ROC-AUC",
        }
        return (
            f"{names[which]} by epoch, image level, training rows alone: after a nested search models are refitted on"
            f" the whole training part, without validation rows, for the number of epochs that the search found. {band}"
            f" {during}."
        )
    others = " Grey: the other arms' means." if 1 < n_arms <= FEW else ""
    if which == "loss_accuracy":
        return f"Log loss and accuracy by epoch, image level. {band} {during}, so they may lie below validation."
    if which == "f1_auc":
        return f"F1 at probability 0.5 (not calibrated) and ROC-AUC by epoch, image level. {band} {during}."
    return (
        f"Generalisation gap: validation minus training log loss by epoch, image level. {band}{others} Above 0 "
        f"the fit is worse on patients it has not seen. {during}, which lowers the gap."
    )


FLOW = "Cohort flow. Counts are images and patients; a patient with two statuses counts under both."


def study_grid(cells: pd.DataFrame, level: str, *, written: bool, imported: bool) -> str:
    """Caption of the grid of cells; of models trained elsewhere nothing is known but what is there."""
    n_each = int(cells.groupby(["arm", "fold"]).size().max())
    missing = int((~cells["finished"]).sum())
    mean = "" if n_each == 1 else ", mean over finished repeats and training seeds"
    values = "" if written else " Values are in the CSV."
    done = f" All {count(len(cells), 'planned cell')} are finished."
    if missing:
        done = (
            f" {missing} of {count(len(cells), 'planned cell')} are not finished; hatched where none of a square's "
            "is, with a count where some are."
        )
    elif imported:
        done, mean = "", mean.replace("finished ", "")
    return (
        f"ROC-AUC by arm and test fold, {level} level{mean}. The spread over folds is no standard error.{done}{values}"
    )
