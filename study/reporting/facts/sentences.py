"""Small tools of generated prose: configurations of arms, and settings that differ between them."""

from collections.abc import Callable, Collection, Iterable, Mapping

from mmbc.config import Config
from study.design.search_results import WHOLE
from study.design.study_file import BASELINE
from study.records.finding import FAILED, WARNING
from study.records.stored_study import StoredStudy
from study.reporting.facts.search_facts import is_flat
from study.text.format import count, listed

TRACES = "A12"
"""Check of what removed outlines leave."""


def leaves_trace(study: StoredStudy) -> bool:
    """Whether the audit found that removed outlines can still be told from the pixels."""
    return any(one.code == TRACES and one.status in (WARNING, FAILED) for one in study.findings)


def configs(study: StoredStudy, which: Callable[[Config], bool] = lambda _: True) -> dict[str, Config]:
    """Return the resolved configuration of every arm that is of some kind; none of an imported study.

    Of an arm that a flat search has chosen settings for it is the chosen one; after a nested search folds differ, and
    it is the reference.
    """
    if study.imported:
        return {}
    by_arm = {arm: _config(study, arm) for arm in study.settings.arms}
    return {arm: config for arm, config in by_arm.items() if which(config)}


def _config(study: StoredStudy, arm: str) -> Config:
    winner = study.searched.winner(arm, 0, WHOLE) if study.searched is not None and is_flat(study) else None
    return winner.config(study.settings) if winner is not None else study.configs[arm]


def uses_table(config: Config) -> bool:
    """Whether a model has a tabular branch."""
    return "tabular" in config.model.inputs


def by_arm(values: Mapping[str, object]) -> str:
    """Return what all arms have in common, or what each has: `0.5`, `0.5 (image and concat) or 0.3 (small)`.

    Args:
        values: arm -> value as it is to be read; at least one.
    """
    arms: dict[str, list[str]] = {}
    for arm, value in values.items():
        arms.setdefault(str(value), []).append(arm)
    if len(arms) == 1:
        return next(iter(arms))
    return " or ".join(f"{value} ({listed(names)})" for value, names in arms.items())


def each(configs: Mapping[str, Config], show: Callable[[Config], object]) -> str:
    """Return `by_arm` of something every configuration has."""
    return by_arm({arm: show(config) for arm, config in configs.items()})


def citing(keys: Iterable[str]) -> str:
    """Return ` [@one; @other]`, or '' without a key."""
    marks = "; ".join(f"@{key}" for key in keys)
    return f" [{marks}]" if marks else ""


def kind_of_model(study: StoredStudy) -> str:
    """Return what the arms of a study are: networks, or whatever was trained elsewhere."""
    return "model" if study.imported else "network"


def models_counted(study: StoredStudy, arms: Collection[str]) -> str:
    """Return how many models there are, the baseline apart: `4 networks and a logistic regression`."""
    networks = count(len([arm for arm in arms if arm != BASELINE]), kind_of_model(study))
    return f"{networks} and a logistic regression" if BASELINE in arms else networks


def in_runs(n_runs: int) -> str:
    """Return in how many runs something has to happen to be counted: ` in most runs`; '' for a single run."""
    return {1: "", 2: " in both runs"}.get(n_runs, " in most runs")


def has_baseline(study: StoredStudy) -> bool:
    """Whether the study plans or has the logistic baseline on clinical columns, computed by this program."""
    return (
        not study.imported
        and bool(study.cohort.features)
        and any(name.startswith(f"{BASELINE}.") for name in study.planned)
    )
