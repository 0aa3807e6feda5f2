"""The analysis that a plan declares, and where a study departs from it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mmbc.config import Section, digest
from mmbc.data.cohort import Cohort
from study.design.folds import Folds
from study.design.study_file import StudyFile
from study.evaluation.arm_metrics import METRICS
from study.evaluation.evaluation import N_REPLICATES, Evaluation
from study.evaluation.groups import SMALLEST_CELL
from study.evaluation.units import TARGET
from study.records.analysis_plan import PlanFacts
from study.records.environment import last_part
from study.records.stored_study import StoredStudy
from study.stats.comparison import ALPHA, POWER, SEEDS_NEEDED
from study.text.format import listed
from study.text.setting_labels import label

NOT_SET = "not set"
"""A setting without a value, which TOML cannot say."""
NOT_PLANNED = (
    *("preset", "arms", "names", "audit", "search", "tuned"),
    *("data.image_root", "data.image_name", "data.feature_names"),
)
"""Settings that define no model and no analysis, or that are compared in another way."""
RULES = {
    "unit": "Unit of analysis",
    "primary": "Primary measure",
    "measures": "Measures",
    "correction": "Correction for several comparisons",
    "alpha": "Level of significance",
    "power": "Power",
    "seeds_needed": "Training seeds that a verdict needs",
    "target": "Specificity and sensitivity of the thresholds",
    "smallest_group": "Smallest subgroup",
    "replicates": "Bootstrap samples",
    "seed": "Seed of the bootstrap",
    "search": "Search of hyper-parameters",
    "tuned": "Hyper-parameters from an earlier search",
}
COHORT = {
    "name": "Cohort",
    "n_images": "Images",
    "n_patients": "Patients",
    "n_positive": "Positive patients",
    "digest": "Digest of the cohort",
}


@dataclass(frozen=True)
class Deviation:
    """A point in which a study departs from its plan.

    Attributes:
        what: the point, in words.
        planned, done: as texts.
    """

    what: str
    planned: str
    done: str

    def __str__(self) -> str:
        return f"{self.what}: planned {self.planned}, done {self.done}"


def planned_facts(settings: StudyFile, cohort: Cohort, cohort_digest: str, folds: Folds) -> dict[str, Any]:
    """Return what a plan declares of a study, without a look at any result: `PlanFacts` but for its dates."""
    images, search = cohort.images, settings.search
    return {
        "cohort": {
            "name": cohort.name,
            "n_images": len(images),
            "n_patients": cohort.n_patients,
            "n_positive": int(images.groupby("patient_id")["label"].max().sum()),
            "digest": cohort_digest,
        },
        "folds": {
            "kind": folds.kind,
            "n_folds": folds.n_folds,
            "repeats": settings.protocol.repeats,
            "digest": folds.digest(settings.protocol.repeats),
        },
        "rules": {
            "unit": settings.unit,
            "primary": "roc_auc",
            "measures": list(METRICS),
            "correction": "Holm",
            "alpha": ALPHA,
            "power": POWER,
            "seeds_needed": SEEDS_NEEDED,
            "target": TARGET,
            "smallest_group": SMALLEST_CELL,
            "replicates": N_REPLICATES,
            "seed": 0,
            "search": search.mode if search is not None else "none",
            "tuned": digest(settings.tuned) if settings.tuned is not None else "none",
        },
        "settings": _settings(settings, phantom=cohort.name == "phantom"),
        "arms": {name: arm.set for name, arm in settings.arms.items()},
    }


def _settings(settings: StudyFile, *, phantom: bool) -> dict[str, Any]:
    """Return the settings that define models, splits and analysis, by dotted key."""
    flat = _flat(settings.model_copy(update={"arms": {}, "names": {}, "audit": None, "tuned": None}))
    left_out = ("run.",) if phantom else ("run.", "data.phantom.")
    kept = {key: value for key, value in flat.items() if key not in NOT_PLANNED and not key.startswith(left_out)}
    return kept | {"model.weights": last_part(settings.model.weights)}


def _flat(section: Section, prefix: str = "") -> dict[str, Any]:
    """Return the settings of a section by dotted key, mappings that are values as they are."""
    plain, flat = section.model_dump(mode="json"), dict[str, Any]()
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = NOT_SET if value is None else plain[name]
    return flat


def setting_deviations(plan: PlanFacts, done: Mapping[str, Any], folds: Folds) -> list[Deviation]:
    """Return where the settings, the cohort and the partition of a study are others than planned.

    Args:
        plan: what was planned.
        done: `planned_facts` of the study as it is.
        folds: of the study; repeats beyond the planned ones change nothing of these.
    """
    arms = [(name, plan.arms.get(name), done["arms"].get(name)) for name in dict.fromkeys([*plan.arms, *done["arms"]])]
    return [
        *_differing(plan.cohort, done["cohort"], COHORT),
        *_partition(plan.folds, folds),
        *(Deviation(f"Model {name}", _trained(was, now), _trained(now, was)) for name, was, now in arms if was != now),
        *_differing(plan.settings, done["settings"], {}),
        *_differing(plan.rules, done["rules"], RULES),
    ]


def _differing(planned: Mapping[str, Any], done: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Deviation]:
    """Yield what differs of what both know: a later version of the program may know more."""
    for key in (key for key in planned if key in done and planned[key] != done[key]):
        yield Deviation(names.get(key) or label(key), _text(planned[key]), _text(done[key]))


def _partition(planned: Mapping[str, Any], folds: Folds) -> Iterator[Deviation]:
    now = folds.digest(int(planned.get("repeats", 1)))
    if planned.get("digest") != now:
        yield Deviation("Division of the patients into folds", f"partition {planned.get('digest')}", f"partition {now}")


def _trained(arm: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> str:
    """Return what an arm changes, or, where there is but one of two, whether it is this one."""
    return "not trained" if arm is None else "trained" if other is None else changes(arm)


def changes(arm: Mapping[str, Any]) -> str:
    """Return in words what an arm changes of the reference configuration."""
    return listed([f"{key} = {_text(value)}" for key, value in arm.items()]) if arm else "the reference configuration"


def _text(value: Any) -> str:
    """Return a value in words; pairs are contrasts."""
    if isinstance(value, list | tuple):
        pairs = bool(value) and all(isinstance(item, list | tuple) for item in value)
        texts = [" minus ".join(map(str, item)) for item in value] if pairs else list(map(_text, value))
        return listed(texts)
    if isinstance(value, Mapping):
        return listed([f"{key} = {_text(item)}" for key, item in value.items()])
    return f"{value:g}" if isinstance(value, float) else str(value)


def deviations(study: StoredStudy, evaluation: Evaluation) -> list[Deviation]:
    """Return every point in which a study and its evaluation depart from the plan; none where there is no plan."""
    if study.plan is None:
        return []
    plan = study.plan.facts
    done = planned_facts(study.settings, study.cohort, study.cohort_digest, study.folds)
    done["rules"] |= {"replicates": evaluation.n_replicates, "seed": evaluation.seed}
    found = setting_deviations(plan, done, study.folds)
    if study.chosen_contrasts is not None:
        planned = plan.settings.get("protocol.contrasts", [])
        found.append(Deviation("Comparisons", *map(_text, (planned, study.chosen_contrasts))))
    missing = [name for name in study.planned if name not in study.records]
    if missing:
        found.append(Deviation("Fits", str(len(study.planned)), str(len(study.planned) - len(missing))))
    if study.added is not None:
        found.append(Deviation("Predictions added from elsewhere", "none", listed(list(study.added.arms))))
    return found


def first_tested(study: StoredStudy) -> str:
    """Return when the first model of a study was tested; '' where no record says it."""
    return min(_times(study), default="")


def _times(study: StoredStudy) -> Iterable[str]:
    return (record.tested for record in study.records.values() if record.tested is not None)


def written(study: StoredStudy) -> Literal["before", "after", "unknown"]:
    """Return whether the plan of a study was written before its first model was tested, by the dates on record."""
    assert study.plan is not None
    first = first_tested(study)
    if first and first < study.plan.facts.written:
        return "after"
    return "before" if all(record.tested is not None for record in study.records.values()) else "unknown"
