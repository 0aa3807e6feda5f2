"""The tables of a report: frames at full precision, and the same as Markdown, CSV and one Excel workbook."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from mmbc.data.cohort import Cohort, flow_shown
from mmbc.data.splits import patient_table
from study.evaluate import LEVELS, RESTATED, Evaluation
from study.folds import table as fold_counts
from study.paper.format import (
    NAMES,
    characteristic,
    difference,
    difference_interval,
    interval,
    listed,
    number,
    p_value,
    per_thousand,
    plain,
    signed,
)
from study.stats.procedure import BOUNDED, PROCEDURE
from study.stored import StoredStudy
from study.strata import AROUND

SHOWN = (
    "roc_auc", "pr_auc", "sensitivity_at_90_specificity", "specificity_achieved", "accuracy", "balanced_accuracy", "f1",
    "mcc", "brier", "calibration_slope", "calibration_intercept",
)  # fmt: skip
"""Metrics of the Markdown tables; the CSV and the workbook have all, by every method."""
FOLD_SHOWN = ("roc_auc", "pr_auc", "sensitivity_at_90_specificity", "specificity_achieved", "accuracy", "f1", "brier")
RELIABILITY = (
    "Observed share of positives by bin of predicted probability (equal mass), before and after Platt scaling."
)


@dataclass(frozen=True)
class PaperTable:
    """One table.

    Attributes:
        name: file name and sheet name.
        title: what a reader sees above it.
        caption: which rows, which level, which n, what the intervals are.
        data: at full precision, for CSV and Excel.
        shown: rounded text, for Markdown.
    """

    name: str
    title: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame

    def markdown(self, notice: str) -> str:
        """Return the table as Markdown with its title and caption."""
        head = [str(column) for column in self.shown.columns]
        lines = [head, ["---"] * len(head), *([str(cell) for cell in line] for line in self.shown.to_numpy().tolist())]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        caption = " ".join(part for part in (self.caption, f"**{notice}.**" if notice else "") if part)
        return f"**{self.title}**\n\n{body}\n\n{caption}\n"


def all_tables(study: StoredStudy, evaluation: Evaluation) -> list[PaperTable]:
    """Return every table in the order of the report."""
    tables = [flow_table(study.cohort), table_one(study.cohort), folds_table(study)]
    if not evaluation.summary.empty:
        tables += [summary_table(evaluation, level) for level in LEVELS]
        tables += [
            by_estimand_table(study, evaluation), comparisons_table(study, evaluation), by_class_table(evaluation),
            comparisons_by_class_table(evaluation), calibration_table(evaluation), subgroups_table(evaluation), variance_table(evaluation),
            PaperTable("reliability", "Reliability", RELIABILITY, evaluation.reliability, evaluation.reliability),
            decision_table(study, evaluation),
        ]  # fmt: skip
    if not evaluation.per_fold.empty:
        tables.append(per_fold_table(evaluation))
    return [table for table in tables if not table.data.empty]


def flow_table(cohort: Cohort) -> PaperTable:
    """Cohort flow: images (patients) by step and status."""
    data = flow_shown(cohort.flow)
    text = data.assign(text=data["n_images"].astype(str) + " (" + data["n_patients"].astype(str) + ")")
    shown = text.pivot(index="step", columns="status", values="text").reindex(data["step"].unique())
    shown.insert(len(shown.columns), "All images", data.groupby("step", sort=False)["n_images"].sum().astype(str))
    checked = (
        "Every listed file was opened." if cohort.images_checked else "No image file was opened: no arm uses images."
    )
    caption = f"Images (patients). A patient with two statuses counts under both. {checked}"
    return PaperTable("flow", "Cohort flow", caption, data, shown.reset_index().rename(columns={"step": "Step"}))


def table_one(cohort: Cohort) -> PaperTable:
    """Table 1: patients by status, with missing counts and standardised differences of the positives to all others."""
    patients = patient_table(cohort.images).set_index("patient_id")
    values = cohort.images.groupby("patient_id")[[feature.name for feature in cohort.features]].first()
    groups = {status: patients["status"] == status for status in sorted(patients["status"].unique())}
    groups["All"] = pd.Series(True, index=patients.index)
    positive = patients["label"] == 1
    rows = _count_rows("Patients, n", groups, pd.Series(1, index=patients.index))
    rows += _count_rows("Images, n", groups, patients["n_images"])
    for feature in cohort.features:
        column = values[feature.name]
        if feature.kind == "numeric":
            rows += _numeric_rows(f"{feature.name}, mean (SD)", groups, column, positive)
        else:
            for value in feature.order or sorted(column.dropna().unique()):
                rows += _share_rows(f"{feature.name} {plain(value)}, n (%)", groups, column, value, positive)
        rows += _count_rows(f"{feature.name} missing, n", groups, column.isna().astype(int))
    for site in sorted(patients["site"].dropna().unique()):
        rows += _share_rows(f"site {site}, n (%)", groups, patients["site"], site, positive)
    data = pd.DataFrame(
        rows, columns=["characteristic", "group", "n", "share", "mean", "sd", "standardised_difference"]
    )
    caption = (
        f"By patient (n = {len(patients)}); the status of a patient with several is that of her positive case. Percentages "
        "are of known values. The standardised difference compares positives with all others: above 0.1 in size is "
        "usually called an imbalance."
    )
    return PaperTable("table_1", "Table 1: patients by status", caption, data, _table_one_shown(data, list(groups)))


Row = dict[str, object]


def _count_rows(name: str, groups: dict[str, pd.Series], counted: pd.Series) -> list[Row]:
    return [{"characteristic": name, "group": group, "n": int(counted[mask].sum())} for group, mask in groups.items()]


def _numeric_rows(name: str, groups: dict[str, pd.Series], column: pd.Series, positive: pd.Series) -> list[Row]:
    one, other = column[positive], column[~positive]
    difference = standardised(one.mean() - other.mean(), one.var(), other.var())
    return [
        {
            "characteristic": name, "group": group, "n": int(column[mask].notna().sum()), "mean": column[mask].mean(),
            "sd": column[mask].std(), "standardised_difference": difference,
        }
        for group, mask in groups.items()
    ]  # fmt: skip


def _share_rows(
    name: str, groups: dict[str, pd.Series], column: pd.Series, value: object, positive: pd.Series
) -> list[Row]:
    has = (column == value)[column.notna()]
    one, other = (float(has[mask.reindex(has.index)].mean()) for mask in (positive, ~positive))
    difference = standardised(one - other, one * (1 - one), other * (1 - other))
    counted = {group: has[mask.reindex(has.index)] for group, mask in groups.items()}
    return [
        {
            "characteristic": name, "group": group, "n": int(values.sum()), "share": values.mean(),
            "standardised_difference": difference,
        }
        for group, values in counted.items()
    ]  # fmt: skip


def standardised(difference: float, variance: float, other_variance: float) -> float:
    """Return a difference over the pooled standard deviation (Austin 2009), NaN where that is 0."""
    spread = np.sqrt((variance + other_variance) / 2)
    return float(difference / spread) if spread > 0 else float("nan")


def _table_one_shown(data: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    lines = []
    for name, rows in data.groupby("characteristic", sort=False):
        cells = {
            row["group"]: characteristic(row["n"], row["share"], row["mean"], row["sd"]) for _, row in rows.iterrows()
        }
        difference = rows["standardised_difference"].iloc[0]
        has_difference = rows[["share", "mean"]].notna().any(axis=None)
        lines.append({"": name, **cells, "Standardised difference": signed(difference) if has_difference else ""})
    return pd.DataFrame(lines, columns=["", *groups, "Standardised difference"])


def folds_table(study: StoredStudy) -> PaperTable:
    """Patients (positive) in every part of every split."""
    data = fold_counts(study.folds, study.cohort.images)
    data = data[data["repeat"] < study.settings.protocol.repeats]
    named = data["name"].ne("").any()
    keys = ["repeat", "fold", *(["name"] if named else [])]
    text = data.assign(text=data["n_patients"].astype(str) + " (" + data["n_positive"].astype(str) + ")")
    shown = text.pivot(index=keys, columns="part", values="text")[["train", "validation", "test"]]
    caption = (
        "Patients (of them positive). No patient is in two parts of a split; every patient is tested once a repeat."
    )
    if study.folds.get("kind") == "holdout":
        caption = "Patients (of them positive). No patient is in two parts; only the test part's patients are tested."
    return PaperTable("folds", "Splits", caption, data, shown.reset_index())


def summary_table(evaluation: Evaluation, level: str) -> PaperTable:
    """The main metrics of all arms at one level with their primary intervals; the data has every method."""
    data = evaluation.intervals[evaluation.intervals["level"] == level]
    primary = data[data["primary"]]
    metrics = [*SHOWN, *(metric for metric in RESTATED if metric in set(primary["metric"]))]
    shown = pd.DataFrame([
        {"Arm": arm} | {NAMES[metric]: _cell(lines.set_index("metric"), metric) for metric in metrics}
        for arm, lines in primary.groupby("arm", sort=False)
    ])  # fmt: skip
    first = data.iloc[0]
    counted = evaluation.confusion[evaluation.confusion["level"] == level].iloc[0]
    prevalence = (counted["tp"] + counted["fn"]) / counted[["tp", "fp", "fn", "tn"]].sum()
    literature = (
        f" Given for comparison; the label belongs to the {evaluation.unit}." if level != evaluation.unit else ""
    )
    notes = sorted(
        {
            f"{arm}: {note}"
            for arm, note in primary.loc[primary["metric"] == "roc_auc", ["arm", "note"]].to_numpy()
            if note
        }
    )
    remarks = "".join(f" {note[0].upper()}{note[1:]}." for note in notes)
    caption = (
        f"{level.capitalize()} level, out-of-fold test predictions of {first['n_patients']} patients "
        f"({first['n_images']} images); 95 % intervals for these fitted models on new patients (E1), patients as clusters: "
        "ROC-AUC fold-stratified clustered DeLong; proportions Wilson with the design effect; Brier score cluster-robust; "
        "calibration by clustered logistic regression; PR-AUC standard error of the patient bootstrap, on the logit scale; "
        "F1, MCC and balanced accuracy patient bootstrap. AUCs are means of within-fold values (a PR-AUC of "
        f"{prevalence:.3f}, the share of positives, is chance, and folds with few positives show more); the other "
        "metrics are pooled over folds, accuracy, balanced accuracy, F1 and MCC at calibrated probability 0.5, the threshold "
        "for 90 % specificity and the calibration from each fold's validation patients. New patients may have other outcome "
        "shares, which the interval of the accuracy allows for; those of balanced accuracy, F1 and MCC hold them fixed. A value "
        f"without an interval was the same in every replicate.{literature}{remarks}"
    )
    return PaperTable(f"summary_{level}", f"Performance, {level} level", caption, data, shown)


def _cell(by_metric: pd.DataFrame, metric: str) -> str:
    return interval(metric, *by_metric.loc[metric, ["value", "low", "high"]].to_numpy(dtype=float))


def by_estimand_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The AUC of every arm for both estimands."""
    data = evaluation.intervals[
        (evaluation.intervals["level"] == evaluation.unit) & (evaluation.intervals["metric"] == "roc_auc")
    ]
    leading = PROCEDURE if (data["method"] == PROCEDURE).any() else BOUNDED
    fitted, trained = data[data["primary"]], data[data["method"] == leading]
    if trained.empty:
        return PaperTable("auc_by_estimand", "", "", trained, trained)
    e1, e2 = (
        {row["arm"]: interval("roc_auc", row["value"], row["low"], row["high"]) for row in rows.to_dict("records")}
        for rows in (fitted, trained)
    )
    shown = pd.DataFrame([
        {"Arm": arm, "these fitted models, new patients (E1)": text, "trained again on such a cohort (E2)": e2.get(arm, "n/a")}
        for arm, text in e1.items()
    ])  # fmt: skip
    seeds = "" if study.settings.protocol.seeds > 1 else ", given this training seed"
    caption = (
        f"ROC-AUC, {evaluation.unit} level, 95 % intervals. E1: fold-stratified clustered DeLong, about the mean AUC of these "
        f"models. E2: {leading}, logit scale{seeds}. Which one to quote depends on what the sentence is about: models that "
        "exist, or a way to make them."
    )
    return PaperTable("auc_by_estimand", "ROC-AUC for both estimands", caption, pd.concat([fitted, trained]), shown)


def comparisons_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The declared contrasts: difference with E1 and E2 intervals, adjusted p, Bayesian probabilities, verdict."""
    data = evaluation.comparisons
    if data.empty:
        return PaperTable("comparisons", "", "", data, data)
    shown = pd.DataFrame([
        {
            "Contrast": f"{row['first']} minus {row['second']}",
            "AUC difference (E1)": difference_interval(row["difference"], row["e1_low"], row["e1_high"]),
            "p (E1, Holm)": p_value(row["e1_p_holm"]),
            "E2 95 % interval": _span(row["e2_low"], row["e2_high"]),
            "p (E2, Holm)": p_value(row["e2_p_holm"]),
            "P(worse / equivalent / better)": " / ".join(
                "n/a" if np.isnan(p) else f"{p:.2f}" for p in (row["p_worse"], row["p_equivalent"], row["p_better"])
            ),
            "p (permutation)": p_value(row["permutation_p"]),
            "Verdict": row["verdict"],
        }
        for row in data.to_dict("records")
    ])  # fmt: skip
    first, delta = data.iloc[0], study.settings.protocol.delta
    caption = (
        f"{evaluation.unit.capitalize()} level, {first['n_patients']} patients, {first['n_scores']} fold scores, "
        f"{first['n_seeds']} training seed{'s' if first['n_seeds'] > 1 else ''}. Declared before the run. E1: these fitted "
        "models on new patients (fold-stratified clustered DeLong). E2: the procedure, trained again on another such cohort "
        f"({first['e2_method']}). p adjusted by Holm over the contrasts; the permutation's is not adjusted. P: Bayesian "
        f"correlated t test with ±δ as region of practical equivalence. Verdicts, δ = {delta:g}: better or worse, the adjusted E2 "
        "p is below .05 and the E1 interval excludes 0; else equivalent, the E2 90 % interval lies within ±δ; else "
        "non-inferior, it lies above −δ; else inconclusive."
    )
    return PaperTable("comparisons", "Differences between arms", caption, data, shown)


def _span(low: float, high: float) -> str:
    return "n/a" if np.isnan(low) else f"{difference(low)} to {difference(high)}"


def comparisons_by_class_table(evaluation: Evaluation) -> PaperTable:
    """The contrasts against each negative status."""
    data = evaluation.comparisons_by_class
    if data.empty:
        return PaperTable("comparisons_by_class", "", "", data, data)
    text = data.assign(
        Contrast=data["first"] + " minus " + data["second"],
        text=[difference_interval(*v) for v in data[["difference", "low", "high"]].to_numpy()],
        against="against " + data["against"],
    )
    shown = (
        text.pivot(index="Contrast", columns="against", values="text").reindex(text["Contrast"].unique()).reset_index()
    )
    caption = (
        "AUC differences (95 % interval, E1, not adjusted) of the positives against each negative status alone. A gain "
        "against one status alone may be about how its images were acquired."
    )
    return PaperTable("comparisons_by_class", "Differences between arms by negative status", caption, data, shown)


def calibration_table(evaluation: Evaluation) -> PaperTable:
    """Calibration of every arm, with the ECE that chance alone would show."""
    metrics = [
        "calibration_slope",
        "calibration_in_the_large",
        "brier",
        "scaled_brier",
        "log_loss",
        "ece",
        "ece_equal_mass",
    ]
    data = evaluation.summary[
        (evaluation.summary["level"] == evaluation.unit) & evaluation.summary["metric"].isin(metrics)
    ]
    if data.empty:
        return PaperTable("calibration", "", "", data, data)
    chance = evaluation.expected_ece.set_index(["arm", "metric"])["expected"]
    rows = []
    for arm, lines in data.groupby("arm", sort=False):
        by_metric = lines.set_index("metric")
        row = {"Arm": arm} | {NAMES[metric]: _cell(by_metric, metric) for metric in metrics}
        row["ECE expected by chance (width, mass)"] = f"{chance[arm, 'ece']:.3f}, {chance[arm, 'ece_equal_mass']:.3f}"
        rows.append(row)
    caption = (
        f"Calibrated probabilities (Platt scaling on validation patients), {evaluation.unit} level, pooled over folds, 95 % "
        "intervals (E1): slope and calibration in the large by clustered logistic regression, Brier score and log loss "
        "cluster-robust, scaled Brier score patient bootstrap, ECE standard error of the patient bootstrap, on the logit scale. A "
        "slope of 1 and 0 in the large are right; n/a where probabilities are all but constant. An ECE is biased upwards: the "
        "last column is what perfectly calibrated probabilities would show."
    )
    data = data.merge(evaluation.expected_ece, on=["arm", "metric"], how="left")
    return PaperTable("calibration", "Calibration", caption, data, pd.DataFrame(rows))


def decision_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Net benefit at some thresholds around the declared prevalence; the data has the whole curves."""
    data, prevalence = evaluation.decision, study.settings.protocol.prevalence
    if data.empty or prevalence is None:
        return PaperTable("decision", "", "", data, data)
    rows = []
    around = data[data["threshold"].isin([factor * prevalence for factor in AROUND])]
    for threshold, lines in around.groupby("threshold"):
        values = {row["arm"]: per_thousand(row["value"], row["low"], row["high"]) for row in lines.to_dict("records")}
        everybody = per_thousand(lines["treat_all"].iloc[0])
        rows.append({"Threshold": f"{100 * float(threshold):.2g} %"} | values | {"recall all": everybody})  # type: ignore[arg-type]
    caption = (
        f"Net benefit in true positives per 1000 people at the declared prevalence of {100 * prevalence:g} %, by the probability "
        f"above which people are recalled, {evaluation.unit} level, 95 % patient-bootstrap interval (E1). Recalling nobody is 0. "
        "It assumes that sensitivity and specificity carry over to that prevalence."
    )
    return PaperTable("decision", "Net benefit", caption, data, pd.DataFrame(rows))


def subgroups_table(evaluation: Evaluation) -> PaperTable:
    """AUC by subgroup."""
    data = evaluation.subgroups
    if data.empty or data["value"].notna().sum() == 0:
        return PaperTable("subgroups", "", "", data.iloc[:0], data.iloc[:0])
    rows = []
    for (column, group), lines in data.groupby(["column", "group"], sort=False):
        first = lines.iloc[0]
        size = (
            "fewer than 10 of a class"
            if first["suppressed"]
            else f"{first['n_patients']:.0f} ({first['n_positive']:.0f})"
        )
        values = {
            line["arm"]: interval("roc_auc", line["value"], line["low"], line["high"]) for _, line in lines.iterrows()
        }
        rows.append({"Subgroup": f"{column} {group}", "Patients (positive)": size} | values)
    tests = data.drop_duplicates(["column", "arm"]).groupby("column", sort=False)
    shown = "; ".join(
        f"{column} {', '.join(f'{arm} {p_value(p)}' for arm, p in lines[['arm', 'interaction_p']].to_numpy())}"
        for column, lines in tests
    )
    by_image = [str(column) for column in data.loc[data["level"] == "image", "column"].unique()]
    levels = f"{evaluation.unit.capitalize()} level" + f", {listed(by_image)} by image" * bool(by_image)
    caption = (
        f"{levels}. ROC-AUC over pairs of the same test part and subgroup, 95 % patient-bootstrap interval (E1). A "
        f"{evaluation.unit} with several values counts under that of most of its images. Subgroups with fewer than 10 "
        "positive or negative patients are not analysed. p of a difference between subgroups (Wald, not adjusted): "
        f"{shown}."
    )
    return PaperTable("subgroups", "Subgroups", caption, data, pd.DataFrame(rows))


def variance_table(evaluation: Evaluation) -> PaperTable:
    """Standard deviations by source."""
    data = evaluation.variance
    if data.empty:
        return PaperTable("variance", "", "", data, data)
    columns = {
        "seed_sd": "between seeds, one fold",
        "split_sd": "between splits, one repeat",
        "patient_sd": "patients, of the mean",
    }
    shown = (
        data[["what"]]
        .rename(columns={"what": "AUC of"})
        .assign(**{name: [number("roc_auc", value) for value in data[column]] for column, name in columns.items()})
    )
    caption = (
        "Standard deviations of the AUC by where they come from; n/a where there is one seed or one repeat alone, 0 between "
        "splits where repeats differ no more than their seeds explain, 0 between seeds for the baseline, which has none. A "
        "difference smaller than that between seeds may be the seed's."
    )
    return PaperTable("variance", "Where the variation comes from", caption, data, shown)


def by_class_table(evaluation: Evaluation) -> PaperTable:
    """AUC against each negative status and within sites."""
    data = evaluation.contrasts_by_class
    if data.empty:
        return PaperTable("auc_by_class", "", "", data, data)
    text = data.assign(text=[interval("roc_auc", *v) for v in data[["value", "low", "high"]].to_numpy()])
    shown = text.pivot(index="arm", columns="metric", values="text")
    shown = shown.reindex(index=data["arm"].unique(), columns=data["metric"].unique()).reset_index()
    caption = (
        f"ROC-AUC of the positives against each negative status, and over pairs of the same site; {evaluation.unit} "
        "level, 95 % interval (E1): mean of within-fold values with clustered DeLong (folds that lack a status are left out), "
        "within sites over all pairs of a fold with patient bootstrap. "
        "A headline that holds against one negative status alone, or not within sites, may say more about acquisition "
        "than about cancer."
    )
    return PaperTable(
        "auc_by_class",
        "ROC-AUC by negative status and within sites",
        caption,
        data,
        shown.rename(columns={"arm": "Arm"}),
    )


def per_fold_table(evaluation: Evaluation) -> PaperTable:
    """Every metric in every fold, at the level of the primary unit; all levels in the CSV."""
    data = evaluation.per_fold
    chosen = data[data["level"] == evaluation.unit]
    chosen = chosen.assign(text=[number(m, v) for m, v in zip(chosen["metric"], chosen["value"], strict=True)])
    keys = ["arm", "repeat", "seed", "fold", "n_patients", "n_positive"]
    shown = chosen.pivot(index=keys, columns="metric", values="text")[list(FOLD_SHOWN)].rename(columns=NAMES)
    shown = shown.reindex(chosen["arm"].unique(), level="arm").reset_index()
    caption = (
        f"{evaluation.unit.capitalize()} level, one line per test fold. Calibration and thresholds come from the fold's validation patients. The "
        "spread over folds is no standard error. More metrics and the other levels are in the CSV and the workbook."
    )
    names = {"n_patients": "patients", "n_positive": "positive"}
    return PaperTable(
        "per_fold", f"Performance by fold, {evaluation.unit} level", caption, data, shown.rename(columns=names)
    )


def write_tables(tables: list[PaperTable], folder: Path, notice: str) -> None:
    """Write each table as CSV at full precision, and all of them as one Excel workbook."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    with pd.ExcelWriter(folder / "tables.xlsx", engine="openpyxl") as workbook:
        for table in tables:
            data = table.data.assign(notice=notice) if notice else table.data
            data.to_csv(folder / "tables" / f"{table.name}.csv", index=False)
            table.data.to_excel(workbook, sheet_name=table.name, index=False, startrow=3)
            _dress(workbook.sheets[table.name], table, notice)


def _dress(sheet: object, table: PaperTable, notice: str) -> None:
    """Put title, caption and notice above a sheet's table and make it readable."""
    sheet["A1"], sheet["A2"] = table.title, " ".join(filter(None, (table.caption.replace("*", ""), notice)))  # type: ignore[index]
    sheet["A1"].font = Font(bold=True, size=13)  # type: ignore[index]
    sheet["A2"].alignment = Alignment(wrap_text=False)  # type: ignore[index]
    sheet.freeze_panes = "A5"  # type: ignore[attr-defined]
    for number_, column in enumerate(table.data.columns, start=1):
        longest = max([len(str(column)), *(len(str(value)[:40]) for value in table.data[column].head(200))])
        sheet.column_dimensions[get_column_letter(number_)].width = min(longest + 2, 44)  # type: ignore[attr-defined]
