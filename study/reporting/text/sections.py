"""The sections behind the answer: sentences generated from the numbers."""

import pandas as pd

from mmbc.data.tables.labels import CONTRALATERAL
from mmbc.data.tables.target_leakage import TELLING
from study.design.study_file import BASELINE
from study.evaluation.doubts import doubts
from study.evaluation.evaluation import Evaluation
from study.evaluation.misclassification import errors_by_unit
from study.records.python_call import typed
from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import render
from study.reporting.facts.search_facts import calibrated_on, is_nested
from study.reporting.facts.sentences import configs
from study.reporting.text.added import added_limitation, added_provenance
from study.reporting.text.label_limits import label_limitations
from study.reporting.text.search_results import optimism_warning, search_limitations
from study.text.format import count, interval, listed, number, p_value, span

POOLING_NOTE = 0.01
"""A pooled AUC that differs from the mean of within-fold values by more than this is remarked on."""
ALPHA = 0.05
EVALUATED_WITH = ("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "matplotlib")
"""Packages behind the numbers of predictions that were made elsewhere."""


def cohort(study: StoredStudy, *, brief: bool = False) -> str:
    """Return where the rows come from and, unless brief, everything known to be wrong with them."""
    images, flow, settings = study.cohort.images, study.cohort.flow, study.settings
    first = images.sort_values("label", ascending=False, kind="stable").drop_duplicates("patient_id")
    negative = set(images.loc[images["label"] == 0, "status"])
    statuses = first["status"].value_counts()
    breasts = images.drop_duplicates(["patient_id", "case_id", "breast"])
    totals = flow.groupby("step", sort=False)["n_images"].sum()
    uses_images = not study.imported and any(settings.arm_config(arm).uses_images for arm in settings.arms)
    return render(
        "cohort",
        brief=brief,
        name=study.cohort.name,
        imported=study.imported,
        n_images=len(images),
        n_patients=study.cohort.n_patients,
        positive=[f"{n} {name}" for name, n in statuses.items() if name not in negative],
        negative=[f"{statuses[name]} {name}" for name in sorted(negative) if name in statuses],
        columns=[feature.name for feature in study.cohort.features],
        unit=settings.unit,
        pooled=settings.data.conflicts == "any",
        n_breasts=len(breasts),
        n_positive_breasts=int(breasts["label"].sum()),
        n_opposite=int((breasts["status"] == CONTRALATERAL).sum()),
        contralateral=CONTRALATERAL,
        n_listed=int(totals["listed"]),
        lost={str(step): int(n) for step, n in totals.items() if step not in ("listed", "used") and n},
        outlined=study.cohort.n_outlined if uses_images else 0,
        outlines=settings.data.outlines,
        notes=study.cohort.notes,
    )


def calibration(study: StoredStudy, evaluation: Evaluation, *, brief: bool = False) -> str:
    """Return the calibration slopes (unless brief) and which arms are miscalibrated; none is no proof."""
    rows = evaluation.summary
    if rows.empty:
        return ""
    slopes = rows[(rows["level"] == evaluation.unit) & (rows["metric"] == "calibration_slope")]
    large = rows[(rows["level"] == evaluation.unit) & (rows["metric"] == "calibration_in_the_large")]
    if slopes.empty:
        return ""
    scaled = f"after Platt scaling on {calibrated_on(study)}"
    fitted = scaled if evaluation.is_calibrated else "of the probabilities as given"
    values = [
        f"{r['arm']} {interval('calibration_slope', r['value'], r['low'], r['high'])}"
        for r in slopes.to_dict("records")
    ]
    parts = [] if brief else [f"The calibration slope (1 is ideal), {fitted}, was {listed(values)}."]
    apart = {
        "risks too extreme (slope below 1)": list(slopes.loc[slopes["high"] < 1, "arm"]),
        "risks too moderate (slope above 1)": list(slopes.loc[slopes["low"] > 1, "arm"]),
        "risks too high on average": list(large.loc[large["high"] < 0, "arm"]),
        "risks too low on average": list(large.loc[large["low"] > 0, "arm"]),
    }
    faults = [f"{listed(arms)}: {what}" for what, arms in apart.items() if arms]
    low, high = (number("calibration_slope", end) for end in (slopes["value"].min(), slopes["value"].max()))
    if len(slopes) > 1 and (slopes["value"] < 1).all():
        parts.append(f"Every slope lies below 1 ({low} to {high}), as of risks that are too extreme.")
    elif len(slopes) > 1 and (slopes["value"] > 1).all():
        parts.append(f"Every slope lies above 1 ({low} to {high}), as of risks that are too moderate.")
    parts.append(
        f"Intervals that exclude the ideal: {'; '.join(faults)}."
        if faults
        else (
            "No interval excludes the ideal, which with intervals this wide is no proof of calibration."
            if (slopes["high"] - slopes["low"]).max() > 0.5
            else "No interval excludes the ideal."
        )
    )
    return " ".join(parts)


def subgroups(evaluation: Evaluation) -> str:
    """Say between which subgroups a difference was found, and how many were too small."""
    rows = evaluation.subgroups
    if rows.empty:
        return ""
    groups = rows.drop_duplicates(["column", "group"])
    small = int(groups["suppressed"].sum())
    tests = rows.drop_duplicates(["column", "arm"]).dropna(subset="interaction_p")
    differing = tests[tests["interaction_p"] < ALPHA]
    names = listed([str(column) for column in groups["column"].unique()])
    text = f"Subgroups of {names} were analysed: {count(len(groups) - small, 'group')}"
    text += f", and {small} more with fewer than 10 positive or negative patients were not. " if small else ". "
    if tests.empty:
        return text + "No column has two groups large enough to compare."
    if differing.empty:
        smallest = tests["interaction_p"].min()
        return (
            text + f"No difference of the AUC between subgroups could be shown (smallest p {p_value(smallest)}, not"
            " adjusted)."
        )
    which = listed(
        [
            f"by {column}"
            f" ({listed([f'{arm} p {p_value(p)}' for arm, p in lines[['arm', 'interaction_p']].to_numpy()])})"
            for column, lines in differing.groupby("column", sort=False)
        ]
    )
    return (
        f"{text}The AUC differed between subgroups {which}: {len(differing)} of {count(len(tests), 'test')} with p"
        f" below .05, not adjusted, where about {ALPHA * len(tests):.0f} would be expected by chance."
    )


def errors(study: StoredStudy, evaluation: Evaluation) -> str:
    """Say how many units all arms get wrong, and how many none does."""
    if evaluation.errors.empty:
        return ""
    units = errors_by_unit(evaluation.errors[evaluation.errors["arm"] != BASELINE], evaluation.unit)
    if units.empty:
        return ""
    n_arms = int(units["n_arms"].max())
    sentences = []
    for label, word in ((1, "positive"), (0, "negative")):
        of_class = units[units["label"] == label]
        every, none = int((of_class["n_wrong"] == n_arms).sum()), int((of_class["n_wrong"] == 0).sum())
        whom = "the arm" if n_arms == 1 else f"all {n_arms} arms"
        sentences.append(
            f"Of {len(of_class)} {word} {evaluation.unit}s, {whom} put {every} on the wrong side of probability 0.5 in"
            " most runs"
            + (
                f", and {none} were on the right side for every arm."
                if n_arms > 1
                else f", and {none} on the right side."
            )
        )
    sentences.append(
        "At 0.5 a cohort in which one class is rarer shows more errors in that class; operating points for use are"
        f" chosen on {calibrated_on(study)} (see Operating points)."
    )
    return " ".join(sentences)


def chance(evaluation: Evaluation) -> str:
    """Say for which arms an AUC against one negative class, or within sites, was not shown to exceed chance."""
    rows = evaluation.contrasts_by_class
    if rows.empty:
        return ""
    at_chance = []
    for metric, lines in rows[rows["low"] <= 0.5].groupby("metric", sort=False):
        values = [
            f"{r['arm']} {interval('roc_auc', r['value'], r['low'], r['high'])}" for r in lines.to_dict("records")
        ]
        at_chance.append(f"{metric!s}{'' if metric == 'within sites' else ' alone'}: {listed(values)}")
    return f"Not shown to exceed chance (the interval includes 0.5) {'; '.join(at_chance)}." if at_chance else ""


def training(study: StoredStudy) -> str:
    """Return how the fits ended."""
    fitted = [] if study.imported else [record.plain() for record in study.records.values() if record.n_epochs]
    frame = pd.DataFrame(fitted)
    lines = []
    for arm, rows in frame.groupby("arm", sort=False) if len(frame) else ():
        train = configs(study)[str(arm)].train
        lasted = rows["n_epochs"] if is_nested(study) else rows["best_epoch"]
        at_limit = int((lasted >= train.max_epochs).sum()) if train.keep == "best" else 0
        ended = (
            f"refits of {span(lasted.min(), lasted.max())} {'epoch' if lasted.max() == 1 else 'epochs'}"
            if is_nested(study)
            else f"best epoch {lasted.min():.0f} to {lasted.max():.0f}"
        )
        last = "refits lasted as long as was allowed" if is_nested(study) else "best epochs were the last allowed"
        lines.append(
            f"- {arm}: {ended}, "
            f"{_parameters(rows['n_trainable'])} trainable of {_parameters(rows['n_parameters'])} parameters, "
            f"{rows['seconds'].mean():.1f} s a fit behind the shared trunk"
            + (f"; {at_limit} of {len(rows)} {last}: train longer" if at_limit else "")
        )
    return "\n".join(lines)


def _parameters(counted: pd.Series) -> str:
    return span(counted.min(), counted.max())


def limitations(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return everything a reviewer should know before quoting a number, the weightiest first."""
    protocol = study.settings.protocol
    points = [*added_limitation(study), *doubts(study, evaluation), *evaluation.gaps, *optimism_warning(study)]
    points += [*(note for note in study.cohort.notes if TELLING in note)]
    points += label_limitations(study)
    if study.imported:
        points.append(
            "The predictions were made elsewhere: that no model saw its test patients in training is taken from the"
            " folds as given. How models were trained, selected and tuned is for the authors to report, and whether the"
            " contrasts were declared before."
        )
    elif study.chosen_contrasts is not None:
        points.append("The contrasts were chosen after the run: their verdicts and p values are exploratory.")
    points.append(
        f"Each test part is one value of {protocol.fold_column} that training never saw; how far this carries to a"
        " further one, the few seen here cannot tell."
        if protocol.fold_column
        else "Nobody from outside this collection was tested: nothing here is about another site or device."
    )
    points += search_limitations(study)
    counts = study.folds.table(study.cohort.images)
    smallest = int(counts.loc[counts["part"] == "test", "n_positive"].min())
    points.append(f"The smallest test part has {count(smallest, 'positive patient')}; fold values vary accordingly.")
    points += (
        []
        if study.imported
        else [note.partition(" Fixed epochs")[0] for note in study.folds.warnings(study.cohort.images)]
    )
    points += _pooling_notes(evaluation)
    if protocol.seeds == 1:
        points.append("One training seed: how much another one would change is not known.")
    points.append(
        "The cohort's share of positives is that of the data set, not of a screened population: no PPV, NPV or net"
        " benefit is given (`--set protocol.prevalence=0.006` declares one)."
        if protocol.prevalence is None
        else (
            f"PPV, NPV and net benefit are for the declared prevalence of {protocol.prevalence:g}; they assume that "
            "sensitivity and specificity carry over."
        )
    )
    return points


def _pooling_notes(evaluation: Evaluation) -> list[str]:
    rows = evaluation.summary
    if rows.empty:
        return []
    areas = rows[(rows["metric"] == "roc_auc") & (rows["level"] == evaluation.unit)]
    apart = areas[(areas["value"] - areas["pooled"]).abs() > POOLING_NOTE]
    return [
        f"{arm}: the mean of within-fold AUCs is {number('roc_auc', value)}, the AUC of pooled scores "
        f"{number('roc_auc', pooled)}; the folds' models score on different scales."
        for arm, value, pooled in apart[["arm", "value", "pooled"]].to_numpy()
    ]


def provenance(study: StoredStudy) -> str:
    """Return what it was run with, without names of machines and places."""
    e = study.environment
    state = {True: " with local changes", False: "", None: ""}[e.dirty]
    used = EVALUATED_WITH if study.imported else tuple(e.packages)
    versions = ", ".join(f"{name} {version}" for name, version in e.packages.items() if version and name in used)
    program = f"mmbc {e.mmbc}" + (f", commit {e.commit[:12]}{state}" if e.commit else "")
    command = typed(e.without_paths().command)
    if about := e.imported:
        return (
            f"The predictions are {about.n_rows} rows of `{about.file}` (SHA-256 {about.sha256[:16]}…), read"
            f" by {program} (Python {e.python}; {versions}). Cohort digest {e.cohort_digest}. Command:"
            f" `{command}`."
        )
    return (
        f"{program}; Python {e.python}; {versions}. {e.platform}, {e.processor}, {e.cores} cores,"
        f" {e.memory_gib} GiB, device {e.device}, {study.settings.run.threads} threads. Cohort digest"
        f" {e.cohort_digest}, image digest {e.images_digest or 'none (no image was opened)'}. Command:"
        f" `{command}`. {added_provenance(study)}"
    ).rstrip()
