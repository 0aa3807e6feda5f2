"""Notes on the dashboard: what is searched, on whom, where and by which rules, in Markdown."""

from collections.abc import Mapping, Sequence

from study.design.search_results import WHOLE
from study.design.tuning_provenance import OPTIMISTIC
from study.text.format import count
from study.text.image_name import worded
from study.training.preparation import Planned
from study.tuning.targets import Target


def value_name(planned: Planned) -> str:
    """Return the name of a trial's value on the dashboard."""
    return f"inner validation AUC ({planned.study.unit}s)"


def target_note(target: Target, planned: Planned) -> str:
    """Return the note on a target."""
    images, search = planned.cohort.images, target.search
    searched_ids = {patient for split in target.splits for part in (split.train, split.validation) for patient in part}
    label = images.groupby("patient_id")["label"].max()
    seen = label[label.index.isin(searched_ids)]
    people = (
        f"{count(len(seen), 'patient')} ({int(seen.sum())} positive,"
        f" {int(images['patient_id'].isin(searched_ids).sum())} images)"
    )
    n_folds = planned.folds.n_folds
    nested = search.mode == "nested"
    where = f"the training part of fold {target.fold + 1} of {n_folds}" if target.fold != WHOLE else "the whole cohort"
    divided = (
        f"divided into {len(target.splits)} inner folds by patient" if nested else f"its {len(target.splits)} folds"
    )
    held = "" if target.fold == WHOLE else f"{len(label) - len(seen)} patients: the test part of fold {target.fold + 1}"
    return note(
        arm=target.arm,
        question=worded(planned.study.arms[target.arm].question, planned.cohort.name, planned.study.data.image_name),
        searched_on=f"{people} of {planned.cohort.name}: {where}, {divided}",
        held_out=held,
        space={hole.key: hole.described() for hole in target.holes},
        rules=rules(target),
        optimistic=OPTIMISTIC in planned.cohort.notice and not nested,
    )


def rules(target: Target) -> list[str]:
    """Return how a target is searched, a sentence each."""
    search = target.search
    pruning = {
        "median": (
            "A trial is pruned if its mean over the folds is below the median of completed trials at the same epoch."
        ),
        "halving": "Trials are pruned by asynchronous successive halving on their mean over the folds, epoch by epoch.",
        "none": "No trial is pruned.",
    }
    selection = {
        "best": "The best mean wins; ties go to fewer trainable parameters.",
        "one-se": "The trial with the fewest trainable parameters within one standard error of the best mean wins.",
    }
    refit = "It is trained on the whole training part for the median of its inner best epochs, and tested once."
    return [
        (
            f"{search.trials} trials; the first is the reference configuration, the others are drawn by TPE"
            " (multivariate, constant liar within a wave)."
        ),
        "A trial's value is the mean over its folds of the validation AUC at the best epoch of each.",
        pruning[search.pruner],
        selection[search.select],
        *([refit] if search.mode == "nested" and target.fold != WHOLE else []),
    ]


def note(
    *,
    arm: str,
    question: str,
    searched_on: str,
    held_out: str,
    space: Mapping[str, str],
    rules: Sequence[str],
    optimistic: bool,
) -> str:
    """Return the note of a study in Markdown: what is searched, on whom, where and by which rules.

    Args:
        arm: whose settings are searched.
        question: that the arm answers.
        searched_on: the patients that trials are fitted and compared on, in words.
        held_out: the patients whom no trial sees, in words; '' where there are none.
        space: key -> what is tried, in words.
        rules: budget, sampler, pruner and selection, a sentence each.
        optimistic: whether patients who later test the winner took part in choosing it.
    """
    lines = [f"# {arm}", "", f"*{question}*", ""]
    if optimistic:
        lines += [OPTIMISTIC_NOTE, ""]
    lines += [f"- **Searched on:** {searched_on}", f"- **Held out:** {held_out or NOBODY}", "", "## Search space", ""]
    lines += ["| Key | Tried |", "|---|---|", *(f"| `{key}` | {_in_cell(tried)} |" for key, tried in space.items()), ""]
    lines += ["## Rules", "", *(f"- {rule}" for rule in rules), "", "## How to read these pages", "", READING, ""]
    return "\n".join(lines)


OPTIMISTIC_NOTE = (
    "> **⚠ Optimistic.** The settings are chosen on patients who test the chosen models in other folds. The study's"
    " estimates of performance are therefore too high, by an amount that nobody knows; a nested search does not have"
    " this fault."
)
NOBODY = (
    "nobody. This search finds settings for new data. How well they perform can only be tested on patients who took no"
    " part in it."
)
READING = """\
- The **value** of a trial is the mean, over the folds of the search, of the AUC on each fold's validation part.
- The best value is the greatest of many and therefore **too high as an estimate of performance**; \
test parts estimate it.
- A **pruned** trial was given up early and shows the mean at its last epoch; a **failed** one has no value.
- The ROC curves of the winner are in the note of its trial, once the search has ended. Where the rules prefer the \
cheapest
  trial within a standard error, the winner need not be the one that the pages call the best.
- The dashboard's card "Hyperparameter Importance" says what sets the best tenth of the trials apart (PED-ANOVA), the \
figure
  "Importance of the hyper-parameters" what their values vary with (fANOVA): two questions. \
With few trials neither is certain.
- Parameters are named by their keys in the study's settings; see `study.toml`."""


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")
