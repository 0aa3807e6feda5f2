"""The sections behind the answer: facts for their templates."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from mmbc.data.tables.labels import CONTRALATERAL
from mmbc.data.tables.target_leakage import TELLING
from study.design.study_file import BASELINE
from study.evaluation.arm_metrics import N_BINS
from study.evaluation.doubts import doubts
from study.evaluation.evaluation import Evaluation
from study.evaluation.misclassification import errors_by_unit
from study.records.python_call import typed
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import contrast_name, display_name
from study.reporting.facts.counts import CURVE_NEEDS, breast_counts, smaller_class, unit_noun
from study.reporting.facts.prose import render, render_items
from study.reporting.facts.search_facts import calibrated_on, is_nested
from study.reporting.facts.sentences import configs, in_runs, kind_of_model, leaves_trace
from study.reporting.methods.plan import plan_facts
from study.reporting.text.added import added_limitation, added_provenance
from study.reporting.text.data_limits import data_facts
from study.reporting.text.label_limits import label_facts
from study.reporting.text.results import calibration_errors, off_bins
from study.reporting.text.search_results import chosen_on
from study.text.format import count, difference, difference_interval, half_up, interval, listed, number, span

POOLING_NOTE = 0.01
"""A pooled AUC that differs from the mean of within-fold values by more than this is remarked on."""
ALPHA = 0.05
EVALUATED_WITH = ("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "matplotlib")
"""Packages behind the numbers of predictions that were made elsewhere."""
OVER_ALL = "over all"
WIDE_SLOPE = 0.5
"""An interval of a calibration slope that is wider than this proves little."""


def cohort(study: StoredStudy, *, brief: bool = False) -> str:
    """Return where the rows come from and, unless brief, everything known to be wrong with them."""
    images, flow, settings = study.cohort.images, study.cohort.flow, study.settings
    first = images.sort_values("label", ascending=False, kind="stable").drop_duplicates("patient_id")
    negative = set(images.loc[images["label"] == 0, "status"])
    statuses = first["status"].value_counts()
    totals = flow.groupby("step", sort=False)["n_images"].sum()
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
        **breast_counts(images),
        contralateral=CONTRALATERAL,
        n_listed=int(totals["listed"]),
        lost={str(step): int(n) for step, n in totals.items() if step not in ("listed", "used") and n},
        outlined=study.cohort.n_outlined if study.uses_images else 0,
        outlines=settings.data.outlines,
        trace=leaves_trace(study),
        notes=study.cohort.notes,
    )


def calibration(study: StoredStudy, evaluation: Evaluation, *, brief: bool = False) -> str:
    """Return the calibration slopes (unless brief), and which models are miscalibrated by what was looked at."""
    rows, bins = evaluation.summary, evaluation.reliability
    if rows.empty:
        return ""
    by_metric = {
        metric: rows[(rows["level"] == evaluation.unit) & (rows["metric"] == f"calibration_{metric}")]
        for metric in ("slope", "in_the_large")
    }
    slopes, large = by_metric["slope"], by_metric["in_the_large"]
    if slopes.empty:
        return ""
    undefined, drawn = slopes["value"].isna(), smaller_class(study) >= CURVE_NEEDS
    bins = bins[bins["stage"] == "after"] if len(bins) else bins
    outside = bins[(bins["low"] > bins["mean_prob"]) | (bins["high"] < bins["mean_prob"])] if len(bins) else bins
    return render(
        "calibration",
        brief=brief,
        scaled=evaluation.is_calibrated,
        calibrated_on=calibrated_on(study),
        slopes=_values(study, slopes, "calibration_slope"),
        lowest=number("calibration_slope", slopes["value"].min()),
        highest=number("calibration_slope", slopes["value"].max()),
        side="below" if (slopes["value"] < 1).all() else "above" if (slopes["value"] > 1).all() else "",
        extreme=_names(study, slopes.loc[slopes["high"] < 1, "arm"]),
        moderate=_names(study, slopes.loc[slopes["low"] > 1, "arm"]),
        too_high=_names(study, large.loc[large["high"] < 0, "arm"]),
        too_low=_names(study, large.loc[large["low"] > 0, "arm"]),
        wide=bool((slopes["high"] - slopes["low"]).max() > WIDE_SLOPE),
        assessed=not undefined.all(),
        unassessed=_names(study, slopes.loc[undefined, "arm"]),
        n_bins=len(bins) if drawn else 0,
        most=N_BINS,
        n_models=bins["arm"].nunique() if len(bins) else 0,
        fewest=0 if drawn else CURVE_NEEDS,
        n_outside=len(outside),
        outside=off_bins(study, outside) if len(outside) else [],
        errors=calibration_errors(study, evaluation),
    )


def _names(study: StoredStudy, arms: Iterable[Any]) -> list[str]:
    return [display_name(study, str(arm)) for arm in arms]


def _values(study: StoredStudy, lines: pd.DataFrame, metric: str) -> list[str]:
    return [
        f"{display_name(study, r['arm'])} {interval(metric, r['value'], r['low'], r['high'])}"
        for r in lines.to_dict("records")
    ]


def subgroups(study: StoredStudy, evaluation: Evaluation) -> str:
    """Say which subgroups were compared, which were too small, and where a difference was found."""
    rows = evaluation.subgroups
    if rows.empty:
        return ""
    groups = rows.drop_duplicates(["column", "group"])
    shown, small = (groups[groups["suppressed"].astype(bool) == hidden] for hidden in (False, True))
    apart = evaluation.subgroup_contrasts
    areas = _tests(rows.assign(name=rows["arm"].map(lambda arm: display_name(study, arm))), "value", _area)
    names = [contrast_name(study, *pair) for pair in apart[["first", "second"]].to_numpy()] if len(apart) else []
    compared = {test["column"] for test in areas}

    def by_column(lines: pd.DataFrame) -> dict[str, list[str]]:
        return {
            str(column): [str(group) for group in of["group"]] for column, of in lines.groupby("column", sort=False)
        }

    return render(
        "subgroups",
        compared={name: names for name, names in by_column(shown).items() if name in compared},
        alone={name: names for name, names in by_column(shown).items() if name not in compared and len(names) == 1},
        alike=[name for name, names in by_column(shown).items() if name not in compared and len(names) > 1],
        small=by_column(small),
        areas=areas,
        differences=_tests(apart.assign(name=names), "difference", difference) if names else [],
    )


def _area(value: float) -> str:
    return number("roc_auc", value)


def _tests(rows: pd.DataFrame, value: str, text: Callable[[float], str]) -> list[dict[str, Any]]:
    """Return each test of a difference between subgroups: of what, by which column, where it was largest and least."""
    tests = []
    known = rows.dropna(subset=["interaction_p", value]).sort_values(value, kind="stable")
    for (column, name), lines in known.groupby(["column", "name"], sort=False):
        low, high = lines.to_dict("records")[0], lines.to_dict("records")[-1]
        p = float(high["interaction_p"])
        ends = {"highest": str(high["group"]), "high": text(high[value])}
        ends |= {"lowest": str(low["group"]), "low": text(low[value])}
        tests.append({"column": str(column), "name": name, "p": p, "found": p < ALPHA, **ends})
    return tests


def errors(study: StoredStudy, evaluation: Evaluation) -> str:
    """Say how many units all models get wrong, and how many none does."""
    lines = evaluation.errors
    trained = [arm for arm in lines["arm"].unique() if arm != BASELINE] if len(lines) else []
    seeing = [arm for arm in trained if arm in configs(study, lambda config: config.uses_images)] or trained
    if not seeing:
        return ""
    units = errors_by_unit(lines[lines["arm"].isin(seeing)], evaluation.unit)
    n_arms = int(units["n_arms"].max())

    def counts(label: int) -> dict[str, int]:
        wrong = units.loc[units["label"] == label, "n_wrong"]
        return {"n": len(wrong), "all": int((wrong == n_arms).sum()), "none": int((wrong == 0).sum())}

    return render(
        "errors",
        unit=unit_noun(study.cohort.images, evaluation.unit),
        kind=kind_of_model(study),
        n_runs=(n_runs := study.settings.protocol.repeats * study.settings.protocol.seeds),
        often=in_runs(n_runs),
        n_models=n_arms,
        of_images=len(seeing) < len(trained),
        positive=counts(1),
        negative=counts(0),
        calibrated_on=calibrated_on(study),
    )


def instability(study: StoredStudy, evaluation: Evaluation) -> str:
    """Say how far predictions change from run to run, or that one run does not tell."""
    if evaluation.summary.empty:
        return ""
    protocol, rows = study.settings.protocol, evaluation.instability.sort_values("mape", kind="stable")
    at_threshold = bool(rows["flagged_changed"].notna().all())
    changed = rows["flagged_changed" if at_threshold else "called_changed"]
    kinds = {"repeat": protocol.repeats, "training seed": protocol.seeds}
    return render(
        "instability",
        unit=evaluation.unit,
        scaled=evaluation.is_calibrated,
        n_runs=int(rows["n_runs"].max()) if len(rows) else 1,
        kinds=listed([count(n, name) for name, n in kinds.items() if n > 1]),
        lines=[
            {
                "name": display_name(study, row["arm"]),
                "mape": number("brier", row["mape"]),
                "changed": number("sensitivity", share),
            }
            for row, share in zip(rows.to_dict("records"), changed, strict=True)
        ],
        at_threshold=at_threshold,
        fewest=number("sensitivity", changed.min()),
        most=number("sensitivity", changed.max()),
    )


def learning_curve(study: StoredStudy, evaluation: Evaluation) -> str:
    """Say what all training patients brought over the largest share of them."""
    lines = []
    for of, curve in evaluation.learning_curve.groupby("of", sort=False):
        part, whole = curve.iloc[-2], curve.iloc[-1]
        ends = (-part["difference"], -part["difference_high"], -part["difference_low"])
        lines.append(
            {
                "name": display_name(study, str(of)),
                "n_part": f"{half_up(part['n_patients'], 0):.0f}",
                "n_all": f"{half_up(whole['n_patients'], 0):.0f}",
                "apart": difference_interval(*ends),
            }
        )
    return render("learning_curve", lines=lines)


def chance(study: StoredStudy, evaluation: Evaluation) -> str:
    """Say for which models an AUC, over all, against one negative class, or within sites, may be chance or is worse."""
    rows, summary = evaluation.contrasts_by_class, evaluation.summary
    if summary.empty:
        return ""
    over_all = summary[(summary["level"] == evaluation.unit) & (summary["metric"] == "roc_auc")]
    rows = pd.concat([over_all.assign(metric=OVER_ALL), rows], ignore_index=True)

    def by_metric(lines: pd.DataFrame) -> dict[str, list[str]]:
        return {str(metric): _values(study, of, "roc_auc") for metric, of in lines.groupby("metric", sort=False)}

    below = rows["high"] < 0.5
    return render(
        "chance",
        whole=(OVER_ALL, "within sites"),
        at_chance=by_metric(rows[(rows["low"] <= 0.5) & ~below]),
        below=by_metric(rows[below]),
    )


def training(study: StoredStudy) -> str:
    """Return how the fits ended."""
    fitted = [] if study.imported else [record.plain() for record in study.records.values() if record.n_epochs]
    if not fitted:
        return ""
    nested, arms = is_nested(study), []
    for arm, rows in pd.DataFrame(fitted).groupby("arm", sort=False):
        train = configs(study)[str(arm)].train
        lasted = rows["n_epochs"] if nested else rows["best_epoch"]
        arms.append(
            {
                "name": display_name(study, str(arm)),
                "epochs": span(lasted.min(), lasted.max()),
                "one_epoch": lasted.max() == 1,
                "trainable": span(rows["n_trainable"].min(), rows["n_trainable"].max()),
                "parameters": span(rows["n_parameters"].min(), rows["n_parameters"].max()),
                "seconds": rows["seconds"].mean(),
                "n_at_limit": int((lasted >= train.max_epochs).sum()) if train.keep == "best" else 0,
                "n_fits": len(rows),
            }
        )
    return render("training", arms=arms, nested=nested)


def limitations(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return everything a reviewer should know before quoting a number, the weightiest first."""
    protocol = study.settings.protocol
    counts = study.folds.table(study.cohort.images)
    warnings = [] if study.imported else study.folds.warnings(study.cohort.images)
    return render_items(
        "limitations",
        doubts=[*added_limitation(study), *doubts(study, evaluation)],
        gaps=[_named_gap(study, gap) for gap in evaluation.gaps],
        plan=plan_facts(study, evaluation),
        optimistic=chosen_on(study),
        telling=[note for note in study.cohort.notes if TELLING in note],
        imported=study.imported,
        chosen_afterwards=study.chosen_contrasts is not None,
        fold_column=protocol.fold_column,
        nested=is_nested(study),
        holdout=study.folds.holdout,
        smallest=int(counts.loc[counts["part"] == "test", "n_positive"].min()),
        warnings=[note.partition(" Fixed epochs")[0] for note in warnings],
        pooled=_pooled_apart(study, evaluation),
        n_seeds=protocol.seeds,
        prevalence=None if protocol.prevalence is None else f"{100 * protocol.prevalence:.4g}",
        restated=len(evaluation.decision) > 0,
        **data_facts(study),
        **label_facts(study),
    )


def _named_gap(study: StoredStudy, gap: str) -> str:
    """Return a gap of the evaluation with the name that a reader sees, where it is about an arm."""
    arm, comma, rest = gap.partition(", ")
    known = comma and arm in {*study.settings.arms, BASELINE}
    return f"{display_name(study, arm)}: {rest}" if known else gap


def _pooled_apart(study: StoredStudy, evaluation: Evaluation) -> list[Mapping[str, str]]:
    """Return the models whose AUC over pooled scores differs from the mean of the folds."""
    rows = evaluation.summary
    areas = rows[(rows["metric"] == "roc_auc") & (rows["level"] == evaluation.unit)] if len(rows) else rows
    apart = areas[(areas["value"] - areas["pooled"]).abs() > POOLING_NOTE] if len(areas) else areas
    return [
        {
            "name": display_name(study, row["arm"]),
            "mean": number("roc_auc", row["value"]),
            "pooled": number("roc_auc", row["pooled"]),
        }
        for row in apart.to_dict("records")
    ]


def provenance(study: StoredStudy, *, in_r: bool = False) -> str:
    """Return what it was run with, without names of machines and places; `in_r` with the script that repeats it."""
    e = study.environment
    used = EVALUATED_WITH if study.imported else tuple(e.packages)
    return render(
        "provenance",
        e=e,
        about=e.imported,
        versions=[f"{name} {version}" for name, version in e.packages.items() if version and name in used],
        threads=study.settings.run.threads,
        command=typed(e.without_paths().command),
        added=added_provenance(study),
        in_r=in_r,
    )
