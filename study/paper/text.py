"""The sentences of a report, generated from the numbers, and true when those are bad."""

import pandas as pd

from mmbc.config import TrainConfig
from mmbc.data.labels import CONTRALATERAL
from study.evaluate import Evaluation
from study.folds import table as fold_counts
from study.folds import warnings
from study.paper.format import count, interval, listed, number
from study.paper.screen import comparisons_lines
from study.record import StoredStudy
from study.settings import BASELINE

POOLING_NOTE = 0.01
"""A pooled AUC that differs from the mean of within-fold values by more than this is remarked on."""


def answer(study: StoredStudy, evaluation: Evaluation) -> str:
    """What was compared, on whom, and what came out: each declared contrast with its verdict."""
    if evaluation.summary.empty:
        return "No arm is finished yet: run the same command again to continue, then this report has numbers."
    n_patients, n_positive = study.cohort.n_patients, _n_positive(study)
    arms = [arm for arm in evaluation.summary["arm"].unique() if arm != BASELINE]
    if not arms:
        return "No arm is finished yet: run the same command again to continue, then this report compares them."
    sentences = [
        f"{count(len(arms), 'arm')} ({listed(arms)}) {'was evaluated' if len(arms) == 1 else 'were compared'} on a cohort of "
        f"{count(len(study.cohort.images), 'image')} of {count(n_patients, 'patient')} ({n_positive} positive), tested "
        f"{_tested(study)}. At the {evaluation.unit} level the ROC-AUC (95 % interval) was {listed(_aucs(evaluation, arms))}."
    ]
    baseline = _aucs(evaluation, [BASELINE])
    if baseline:
        sentences.append(
            f"A logistic regression on the clinical columns alone, the baseline to beat, reached {baseline[0].partition(' ')[2]}."
        )
    sentences.append(
        "These intervals are about the fitted models on new patients (E1) and about each arm by itself: whether they overlap "
        "decides nothing about a difference."
    )
    verdicts = [f"- {line}" for line in comparisons_lines(evaluation)]
    return "\n\n".join([" ".join(sentences), "\n".join(verdicts)]).strip()


def unfinished(study: StoredStudy) -> str:
    """Say at the top that cells are missing, or ''."""
    absent = [name for name in study.planned if name not in study.records]
    if not absent:
        return ""
    return (
        f"Unfinished: {len(absent)} of {count(len(study.planned), 'cell')} are not there yet, and arms that lack any are left "
        "out. The command that began the study continues it"
    )


def _aucs(evaluation: Evaluation, arms: list[str]) -> list[str]:
    rows = evaluation.summary
    chosen = rows[(rows["level"] == evaluation.unit) & (rows["metric"] == "roc_auc")].set_index("arm")
    return [
        f"{arm} {interval('roc_auc', *chosen.loc[arm, ['value', 'low', 'high']])}"
        for arm in arms
        if arm in chosen.index
    ]


def _n_positive(study: StoredStudy) -> int:
    return int(study.cohort.images.groupby("patient_id")["label"].max().sum())


def _tested(study: StoredStudy) -> str:
    protocol = study.settings.protocol
    if protocol.test_where:
        return f"on the locked test part where {protocol.test_where} ({_n_tested(study)})"
    if protocol.fold_column:
        return (
            f"out of fold, leaving out one value of {protocol.fold_column} at a time ({study.folds['n_folds']} folds)"
        )
    if study.folds.get("kind") == "holdout":
        return f"on one held-out part ({_n_tested(study)})"
    repeats = "" if protocol.repeats == 1 else f", {protocol.repeats} times with other splits"
    return f"out of fold in {study.folds['n_folds']}-fold patient-grouped cross-validation{repeats}"


def _n_tested(study: StoredStudy) -> str:
    """Return how many patients a single split trains on and tests."""
    entry = study.folds["folds"][0]
    n_fitted = len(entry["train"]) + len(entry["validation"])
    return f"{count(len(entry['test']), 'patient')}; {n_fitted} others for training and validation"


def cohort(study: StoredStudy) -> str:
    """Where the rows come from and what is known to be wrong with them."""
    images = study.cohort.images
    negative = sorted(images.loc[images["label"] == 0, "status"].unique())
    head = (
        f"Cohort {study.cohort.name}: {count(len(images), 'image')} of {count(study.cohort.n_patients, 'patient')}. "
        f"Labelled positive: {listed(list(study.cohort.positive))}; labelled negative: {listed(negative)}. {_unit(study)}"
    )
    uses_images = any(study.settings.arm_config(arm).uses_images for arm in study.settings.arms)
    outlined = study.cohort.n_outlined
    treatment = f"\n\n{OUTLINES[study.settings.data.outlines].format(n=outlined)}" if uses_images and outlined else ""
    notes = "".join(f"\n- {note}" for note in study.cohort.notes)
    return head + treatment + (f"\n{notes}" if notes else "")


def _unit(study: StoredStudy) -> str:
    """What the label belongs to, and therefore what is counted."""
    if study.settings.unit == "patient":
        return "The label belongs to the case, so the patient is the unit of analysis."
    images = study.cohort.images
    breasts = images.drop_duplicates(["patient_id", "case_id", "breast"])
    opposite = int((breasts["status"] == CONTRALATERAL).sum())
    healthy = (
        f", {opposite} of them the healthy opposite breast of a positive case ({CONTRALATERAL})" if opposite else ""
    )
    return (
        f"The label belongs to the breast, so the breast is the unit of analysis: {count(len(breasts), 'breast')}, "
        f"{int(breasts['label'].sum())} positive{healthy}. Patients are never split, and intervals resample patients."
    )


OUTLINES = {
    "sham": "Lesion outlines burned into the pixels of {n} images were inpainted; every image without one had the outline of "
    "a donor image inpainted in the same way, so that the trace of inpainting does not tell which images had one.",
    "inpaint": "Lesion outlines burned into the pixels of {n} images were inpainted. The trace this leaves still tells which images had "
    "one: expect optimistic numbers.",
    "keep": "**Lesion outlines burned into the pixels of {n} images were kept. They give the answer away: the image arms' numbers are "
    "not evidence.**",
}


def protocol(study: StoredStudy) -> str:
    """The methods in short, with the real settings."""
    settings, p, m, t = study.settings, study.settings.protocol, study.settings.model, study.settings.train
    questions = "\n".join(
        f"- **{name}** ({', '.join(f'{k} = {v}' for k, v in arm.set.items()) or 'the reference'}): {arm.question}"
        for name, arm in settings.arms.items()
    )
    return (
        f"{_split(study)}; {100 * p.validation:.0f} % of each training part's patients "
        "served for early stopping, calibration (Platt) and thresholds, and the test part was predicted once, after the "
        f"fit had ended. Seeds: {p.seeds}; repeats: {p.repeats}. {_pooling(study)} Declared before the run: "
        f"{_declared(study)}.\n\n{questions}\n\n"
        f"{_backbone(study)}Dropout {m.dropout}; AdamW with learning rate {t.head_lr:g} for new layers, weight decay "
        f"{t.weight_decay:g}, label smoothing {t.label_smoothing:g}, batches of {t.batch_size}, at most "
        f"{count(t.max_epochs, 'epoch')}{_stopping(t)}."
    )


def _declared(study: StoredStudy) -> str:
    """The contrasts whose arms are there, and δ."""
    p, there = study.settings.protocol, [*study.settings.arms, BASELINE]
    pairs = [f"{first} minus {second}" for first, second in p.contrasts if first in there and second in there]
    return f"the contrasts {listed(pairs)}, and δ = {p.delta:g} AUC as the largest difference without practical meaning"


def _backbone(study: StoredStudy) -> str:
    """What images went through; nothing where no arm used them."""
    settings, m = study.settings, study.settings.model
    if not any(settings.arm_config(arm).uses_images for arm in settings.arms):
        return ""
    tuned = (
        f"its last {count(m.fine_tuned_blocks, 'stage')} and head convolution fine-tuned with learning rate "
        f"{settings.train.lr:g}"
        if m.fine_tuned_blocks
        else "all of it frozen"
    )
    return f"Backbone {m.backbone} ({m.weights} weights), {tuned}, at {settings.data.image_size} pixels. "


def _split(study: StoredStudy) -> str:
    """How the test parts came about."""
    p = study.settings.protocol
    if p.fold_column:
        return f"Each value of {p.fold_column} in turn was the test part, its patients all together"
    if p.test_where:
        return f"The patients with {p.test_where} were the test part, locked before the run"
    if study.folds.get("own"):
        return "Patients were split as a file of folds given by the user says"
    return "Patients were split, stratified by status and site"


def _pooling(study: StoredStudy) -> str:
    """How images became units."""
    p = study.settings.protocol
    views = {"mean": "the mean logit of its views", "max": "the greatest logit of its views"}[p.pool_views]
    breasts = {
        "max": "the greater of her breasts' logits", "mean": "the mean of her breasts' logits",
        "noisy-or": "the noisy-or of her breasts' probabilities",
    }[p.pool_breasts]  # fmt: skip
    return f"A breast's score is {views}, a patient's {breasts}; this was fixed before the run."


def _stopping(t: TrainConfig) -> str:
    if t.keep == "last":
        return ", all of them, without early stopping"
    measure = "log loss" if t.monitor == "log_loss" else "AUC"
    return (
        f"; the best epoch by validation {measure} averaged over {count(t.monitor_window, 'epoch')} was kept, and a fit "
        f"stopped after {count(t.patience, 'epoch')} without a better one"
    )


def training(study: StoredStudy) -> str:
    """How the fits ended."""
    records = [record for record in study.records.values() if record.get("n_epochs")]
    frame = pd.DataFrame(records)
    lines = []
    for arm, rows in frame.groupby("arm", sort=False):
        train = study.settings.arm_config(str(arm)).train
        at_limit = int((rows["best_epoch"] >= train.max_epochs).sum()) if train.keep == "best" else 0
        lines.append(
            f"- {arm}: best epoch {rows['best_epoch'].min():.0f} to {rows['best_epoch'].max():.0f}, "
            f"{rows['n_trainable'].iloc[0]:,} trainable of {rows['n_parameters'].iloc[0]:,} parameters, "
            f"{rows['seconds'].mean():.1f} s a fit behind the shared trunk"
            + (f"; {at_limit} of {len(rows)} best epochs were the last allowed: train longer" if at_limit else "")
        )
    return "\n".join(lines)


def caveats(study: StoredStudy, evaluation: Evaluation) -> str:
    """Everything a reviewer should know before quoting a number."""
    points = [*warnings(study.folds, study.cohort.images), *evaluation.gaps]
    counts = fold_counts(study.folds, study.cohort.images)
    smallest = int(counts.loc[counts["part"] == "test", "n_positive"].min())
    points.append(f"The smallest test part has {count(smallest, 'positive patient')}; fold values vary accordingly.")
    points += _pooling_notes(evaluation)
    if study.settings.protocol.seeds == 1:
        points.append(
            "One training seed: how much another one would change is not known. `--seeds 3` extends this study."
        )
    declared = study.settings.protocol.prevalence
    points.append(
        "The cohort's share of positives is that of the data set, not of a screened population: no PPV, NPV or net benefit is "
        "given (`--set protocol.prevalence=0.006` declares one)."
        if declared is None
        else f"PPV, NPV and net benefit are for the declared prevalence of {declared:g}; they assume that sensitivity "
        "and specificity carry over."
    )
    if study.settings.protocol.fold_column:
        points.append(
            f"Each test part is one value of {study.settings.protocol.fold_column} that training never saw; how far this "
            "carries to a further one, the few seen here cannot tell."
        )
    else:
        points.append("None of this says anything about another site or device.")
    return "\n".join(f"- {point}" for point in points)


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
    """What it was run with."""
    e = study.environment
    state = {True: " with local changes", False: "", None: ""}[e["dirty"]]
    versions = ", ".join(f"{name} {version}" for name, version in e["packages"].items() if version)
    return (
        f"mmbc {e['mmbc']}"
        + (f", commit {e['commit'][:12]}{state}" if e["commit"] else "")
        + f"; Python {e['python']}; "
        f"{versions}. {e['platform']}, {e['processor']}, {e['cores']} cores, {e['memory_gib']} GiB, device {e['device']}, "
        f"{study.settings.run.threads} threads. Cohort digest {e['cohort_digest']}, image digest "
        f"{e['images_digest'] or 'none (no image was opened)'}. Every number above can be recomputed from "
        f"`cells/*/predictions.parquet` of the study: `python -m study.report FOLDER`, here `{study.name}`."
    )


def figure(name: str, caption: str, notice: str) -> str:
    """Return a figure with its caption as Markdown."""
    warning = f" **{notice}.**" if notice else ""
    return f"![{name}](figures/{name}.png)\n\n*{caption}*{warning}"
