"""Settings with each arm's differences, and compute; not for models that were trained elsewhere."""

from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.config import Config, TrainConfig
from study.design.study_file import BASELINE
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.search_facts import declared_space, is_nested, range_text
from study.reporting.facts.sentences import configs as chosen_configs
from study.reporting.tables.base import ABSENT, PaperTable, caption, empty_table
from study.text.format import span, tenths, whole
from study.text.setting_labels import ALWAYS, ATTENTION, FUSED, IMAGE, STOPPING, TABLE


def settings_table(study: StoredStudy) -> PaperTable:
    """The reference configuration's hyper-parameters, and which arms differ from it."""
    if study.imported:
        return empty_table("settings")
    configs, searched = chosen_configs(study), declared_space(study)
    reference = study.settings.config
    rows, shown = [], []
    for key, label in _keys(study, configs).items():
        usual = _value(reference, key)
        values = {arm: _value(config, key) for arm, config in configs.items()}
        differing = {arm: value for arm, value in values.items() if value != usual}
        for arm, value in values.items():
            of_arm = {"reference": _number(usual), "arm": arm, "value": _number(value)}
            rows.append({"key": key, "setting": label, **of_arm})
        text = "; ".join(f"{value} ({display_name(study, arm)})" for arm, value in differing.items())
        shown.append({"Setting": label, "Key": key, "Reference": usual, "Other models": text})
        if searched:
            shown[-1]["Searched"] = range_text(searched[key]) if key in searched else ""
    said = caption("settings", study, searched=bool(searched))
    return PaperTable("settings", "Hyper-parameters", said, pd.DataFrame(rows), pd.DataFrame(shown), n_keys=2)


def _keys(study: StoredStudy, configs: dict[str, Config]) -> dict[str, str]:
    """Return key -> label of the settings that some arm uses and the cohort calls for, and those an arm changes."""
    uses_images = any(config.uses_images for config in configs.values())
    uses_table = any("tabular" in config.model.inputs for config in configs.values())
    fused = [config.model for config in configs.values() if len(config.model.inputs) > 1]
    chosen = (IMAGE if uses_images else {}) | (TABLE if uses_table else {}) | (FUSED if fused else {})
    chosen |= ATTENTION if any(model.fusion == "attention" for model in fused) else {}
    chosen |= {key: label for key, label in ALWAYS.items() if key not in STOPPING or _stops(configs)}
    if not any(config.augment.enabled for config in configs.values()):
        chosen = {
            key: label for key, label in chosen.items() if key == "augment.enabled" or not key.startswith("augment.")
        }
    absent = {"data.outlines": not study.cohort.n_outlined, "data.missing_indicators": not _has_gaps(study)}
    chosen = {key: label for key, label in chosen.items() if not absent.get(key, False)}
    changed = [key for arm in study.settings.arms.values() for key in arm.set] + list(declared_space(study))
    return chosen | {key: key for key in changed if key not in chosen and "." in key}


def _has_gaps(study: StoredStudy) -> bool:
    """Whether a value of a clinical column is missing."""
    return bool(study.cohort.images[[feature.name for feature in study.cohort.features]].isna().any(axis=None))


def _stops(configs: dict[str, Config]) -> bool:
    return any(config.train.keep == "best" for config in configs.values())


def _value(config: Config, key: str) -> str:
    """Return a setting as text; of weights in a file the name alone, as its folder is nobody's business."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part) if hasattr(value, part) else ABSENT
    if key == "model.weights" and str(value).startswith("file:"):
        return f"file {Path(str(value).removeprefix('file:')).name}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(text: str) -> int | float | str:
    """Return what a text says: a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def compute_table(study: StoredStudy) -> PaperTable:
    """Compute of each arm's fits: seconds, epochs, parameters."""
    if study.imported or not study.records:
        return empty_table("compute")
    rows = [_of_arm(study, arm) for arm in [*study.settings.arms, BASELINE]]
    data = pd.DataFrame([row for row in rows if row["n_planned"]])
    nested = is_nested(study)
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "Fits": (
                    f"{row['n_fits']}"
                    if row["n_fits"] == row["n_planned"]
                    else f"{row['n_fits']} of {row['n_planned']}"
                ),
                "Seconds a fit": tenths(row["seconds_mean"]),
                "Epochs": _range(row, "epochs"),
                **({} if nested else {"Best epoch": _range(row, "best_epoch")}),
                "Trainable parameters": whole(row["n_trainable"]),
                "All parameters": whole(row["n_parameters"]),
            }
            for row in rows
            if row["n_planned"]
        ]
    )
    said = caption("compute", study, search=study.settings.search is not None, at_limit=_at_limit(study))
    return PaperTable("compute", "Compute", said, data, shown)


def _of_arm(study: StoredStudy, arm: str) -> dict[str, Any]:
    """Count and average the records of an arm; NaN where the fits have no such number."""
    records = pd.DataFrame([record.plain() for record in study.records.values() if record.arm == arm])
    planned = sum(name.partition(".")[0] == arm for name in study.planned)

    def numbers(key: str) -> "pd.Series[float]":
        return pd.to_numeric(records[key]).astype(float) if key in records else pd.Series(dtype=float)

    row: dict[str, Any] = {"arm": arm, "n_fits": len(records), "n_planned": planned}
    row |= {"seconds_mean": numbers("seconds").mean(), "seconds_total": numbers("seconds").sum(min_count=1)}
    for name, key in (("epochs", "n_epochs"), ("best_epoch", "best_epoch")):
        row |= {f"{name}_least": numbers(key).min(), f"{name}_greatest": numbers(key).max()}
    return row | {key: numbers(key).max() for key in ("n_trainable", "n_parameters")}


def _range(row: dict[str, Any], name: str) -> str:
    return span(row[f"{name}_least"], row[f"{name}_greatest"])


def _at_limit(study: StoredStudy) -> list[tuple[str, int, int]]:
    """Return the arms with best epochs that were the last allowed: name, number of such fits, of all."""
    told = []
    for arm in study.settings.arms:
        train: TrainConfig = chosen_configs(study)[arm].train
        key = "n_epochs" if is_nested(study) else "best_epoch"
        best = [getattr(record, key) for record in study.records.values() if record.arm == arm]
        last = sum(epoch is not None and epoch >= train.max_epochs for epoch in best)
        if last and train.keep == "best":
            told.append((display_name(study, arm), last, len(best)))
    return told
