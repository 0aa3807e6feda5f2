"""Names of arms, contrasts and columns that a reader understands; files of numbers keep the short ones of arms."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from study.design.study_file import BASELINE
from study.evaluation.verdicts import sentence
from study.records.stored_study import StoredStudy
from study.stats.comparison import Comparison
from study.text.format import listed, start
from study.text.image_name import OF_MAMMOGRAMS, image_name

BUILT_IN = {
    "image": ("Images alone", ("image",), ""),
    "tabular": ("Clinical data alone", ("tabular",), ""),
    "concat": ("Images + clinical data, concatenated", ("image", "tabular"), "concat"),
    "attention": ("Images + clinical data, attention", ("image", "tabular"), "attention"),
}
"""Name of an arm of the default study -> what it is called, its inputs and their fusion; with others it is another."""
BASELINE_NAME = "Logistic regression"
FUSIONS = {"concat": "concatenation", "attention": "attention"}
FEW = 3
"""So many clinical columns are named one by one."""


def display_name(study: StoredStudy, arm: str) -> str:
    """Return what text, tables and figures call an arm: what the study file says (`[names]`), else a built-in name.

    An arm that the study file defines, and an arm of predictions made elsewhere, is called by its own name.
    """
    settings = study.settings
    if given := settings.names.get(arm):
        return given
    if arm == BASELINE:
        return BASELINE_NAME
    if study.imported or arm not in settings.arms:
        return arm
    fraction = study.configs[arm].train.fraction
    if fraction < 1 and (of := settings.shares.get(arm)):
        return f"{display_name(study, of)}, {100 * fraction:g} % of the training patients"
    if arm not in BUILT_IN:
        return arm
    name, inputs, fusion = BUILT_IN[arm]
    model = study.configs[arm].model
    return name if set(model.inputs) == set(inputs) and fusion in ("", model.fusion) else arm


def in_sentence(study: StoredStudy, arm: str) -> str:
    """Return the name of an arm inside a sentence: a built-in one without its capital letter."""
    name = display_name(study, arm)
    return name[0].lower() + name[1:] if name != arm and arm not in study.settings.names else name


def verdict_sentence(study: StoredStudy, row: Mapping[Any, Any]) -> str:
    """Return the verdict on a contrast in words, with the names of models that a reader knows.

    Args:
        study: whose names they are.
        row: of `Evaluation.comparisons`.
    """
    names = {which: in_sentence(study, str(row[which])) for which in ("first", "second")}
    known = {field.name: row[field.name] for field in fields(Comparison)}
    return start(sentence(Comparison(**(known | names)), study.settings.protocol.delta))


def display_names(study: StoredStudy) -> dict[str, str]:
    """Return the name of every arm of a study, planned or there, the baseline's among them."""
    return {arm: display_name(study, arm) for arm in dict.fromkeys([*study.settings.arms, *study.arms, BASELINE])}


COLUMNS = {"age": "Age, years", "density": "Breast density"}
"""What tables call the clinical columns of the built-in cohorts, whose units are known."""


DENSITY = {
    "phantom": "Breast density: classes 1 (least dense) to 4 (densest), planted.",
    **dict.fromkeys(("mini-ddsm-v1", "mini-ddsm-v2"), "Breast density: BI-RADS categories 1 to 4."),
}
"""Cohort -> what the codes of its column `density` are."""


def codes(study: StoredStudy) -> str:
    """Return what the codes of built-in clinical columns mean, or ''."""
    named = "density" in study.settings.data.feature_names or study.imported
    there = any(feature.name == "density" for feature in study.cohort.features)
    return DENSITY.get(study.cohort.name, "") if there and not named else ""


def column_name(study: StoredStudy, column: str) -> tuple[str, str]:
    """Return what tables call a clinical column, with its unit where that is known and without: `Age, years`, `Age`."""
    known = COLUMNS if study.cohort.name in OF_MAMMOGRAMS and not study.imported else {}
    name = study.settings.data.feature_names.get(column) or known.get(column, column)
    return name, name.partition(",")[0]


def input_names(study: StoredStudy) -> dict[str, str]:
    """Return what a sentence calls the inputs: `mammograms`, and the clinical columns by name where they are few."""
    columns = [feature.name for feature in study.cohort.features]
    clinical = listed(columns) if 0 < len(columns) <= FEW else "clinical data"
    return {"image": image_name(study.cohort.name, study.settings.data.image_name), "tabular": clinical}


def addition(study: StoredStudy, first: str, second: str) -> tuple[str, str] | None:
    """Return (what the first arm has more, what the second has), or None where they do not differ by an input alone.

    The baseline has the clinical columns; two arms that have these have to be of one kind but for what is added.
    """
    if study.imported or first == BASELINE or not {first, second} <= {*study.settings.arms, BASELINE}:
        return None
    one = study.configs[first].model
    other = None if second == BASELINE else study.configs[second].model
    had = ("tabular",) if other is None else other.inputs
    extra = [name for name in one.inputs if name not in had]
    if len(extra) != 1 or not set(had) < set(one.inputs):
        return None
    if other is not None and one.model_copy(update={"inputs": other.inputs, "fusion": other.fusion}) != other:
        return None
    names = input_names(study)
    return names[extra[0]], listed([names[name] for name in had])


def fusions(study: StoredStudy, first: str, second: str) -> tuple[str, str] | None:
    """Return the fusions of two arms in words where they differ by it alone, else None."""
    if study.imported or not {first, second} <= set(study.settings.arms):
        return None
    one, other = (study.configs[arm].model for arm in (first, second))
    if one.fusion == other.fusion or one.model_copy(update={"fusion": other.fusion}) != other:
        return None
    return FUSIONS.get(one.fusion, one.fusion), FUSIONS.get(other.fusion, other.fusion)


def clinical_model(study: StoredStudy, first: str, second: str) -> str:
    """Return which model of the clinical columns a contrast is with, where the study declares both; else ''."""
    twins = [
        pair
        for pair in study.contrasts
        if pair[0] == first and addition(study, *pair) == addition(study, first, second)
    ]
    if len(twins) < 2 or addition(study, first, second) is None:
        return ""
    return "logistic regression" if second == BASELINE else "network"


def contrast_name(study: StoredStudy, first: str, second: str) -> str:
    """Return what tables and figures call a contrast: `Adding images to clinical data`, `Attention for concatenation`.

    Arms that differ by more than an input or the fusion are named with a minus between them.
    """
    if added := addition(study, first, second):
        short = {name: "clinical data" for name in added if name == input_names(study)["tabular"]}
        what, to = (short.get(name, name) for name in added)
        which = clinical_model(study, first, second)
        return f"Adding {what} to {to}" + (f" ({which})" if which else "")
    if both := fusions(study, first, second):
        return f"{start(both[0])} instead of {both[1]}"
    return f"{display_name(study, first)} minus {display_name(study, second)}"
