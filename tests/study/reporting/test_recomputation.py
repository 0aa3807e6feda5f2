"""The main table made again from the predictions, as a stranger would who has Methods; nothing of `study.stats`."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from study.records.stored_study import write_archive
from study.reporting.methods.chapter import methods
from study.reporting.tables.main import main_table

RUN = ["repeat", "seed"]
CELL = [*RUN, "fold"]


@pytest.fixture(scope="module")
def predictions(evaluated, tmp_path_factory):
    """The rows of `predictions.parquet` with patient, breast and label of each image, which the cohort's file has."""
    folder = tmp_path_factory.mktemp("archive")
    write_archive(evaluated[0], folder)
    rows, images = (pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "cohort"))
    known = [name for name in ("patient_id", "case_id", "breast", "label") if name not in rows]
    return rows.merge(images[["image_id", *known]], on="image_id") if known else rows


def patients_of(rows):
    """A breast's score is the mean logit of its views, a patient's the greatest of the breasts' logits."""
    breasts = rows.groupby([*CELL, "part", "patient_id", "case_id", "breast"], as_index=False)
    breasts = breasts.agg(logit=("logit", "mean"), label=("label", "max"))
    patients = breasts.groupby([*CELL, "part", "patient_id"], as_index=False)
    return patients.agg(logit=("logit", "max"), label=("label", "max"))


def platt(logits, labels):
    """Maximum likelihood with targets (P + 1)/(P + 2) and 1/(N + 2), a slope not below 0."""
    n_positive, n_negative = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(parameters):
        z = parameters[0] * logits + parameters[1]
        return np.sum(np.logaddexp(0, z) - targets * z)

    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}
    return minimize(loss, [1.0, 0.0], bounds=[(0, None), (None, None)], method="L-BFGS-B", options=options).x


def evaluated_by_hand(rows):
    """Test patients of every cell with calibrated probability and call at the threshold for 90 % specificity."""
    cells = []
    for _, cell in patients_of(rows).groupby(CELL):
        validation, test = (cell[cell["part"] == part] for part in ("validation", "test"))
        slope, intercept = platt(validation["logit"].to_numpy(), validation["label"].to_numpy())
        negatives = np.sort(validation.loc[validation["label"] == 0, "logit"])
        reached = (negatives[:, None] >= negatives).mean(axis=1) >= 0.9 - 1e-12
        prob = expit(slope * test["logit"] + intercept)
        cells.append(test.assign(prob=prob, called=test["logit"] > negatives[reached][0]))
    return pd.concat(cells, ignore_index=True)


def area(test):
    """Mean of within-fold areas; DeLong's variance with each patient's influence averaged over runs; logit scale."""
    folds = list(test.groupby(CELL))
    influence = pd.Series(0.0, index=test["patient_id"].unique())
    areas = []
    for _, fold in folds:
        positive, negative = (fold[fold["label"] == label] for label in (1, 0))
        above = positive["logit"].to_numpy()[:, None] - negative["logit"].to_numpy()
        wins = (above > 0) + 0.5 * (above == 0)
        areas.append(roc_auc_score(fold["label"], fold["logit"]))
        for people, share in ((positive, wins.mean(axis=1)), (negative, wins.mean(axis=0))):
            n = len(people)
            influence[people["patient_id"]] += (share - areas[-1]) / np.sqrt(n * (n - 1)) / len(folds)
    value, se = np.mean(areas), np.sqrt((influence**2).sum())
    half = norm.ppf(0.975) * se / (value * (1 - value))
    perfect = any(one in (0.0, 1.0) for one in areas)  # a part without a variance of its own
    return value, *((np.nan, np.nan) if perfect else expit(logit(value) + np.array([-half, half])))


def share(test, label, called):
    """Pooled counts; Wilson's interval with the rows reduced by the design effect of patients."""
    of_class = test[test["label"] == label].assign(right=lambda rows: (rows["called"] == called).astype(float))
    p, by_patient = of_class["right"].mean(), of_class.groupby("patient_id")["right"].mean()
    n = len(by_patient)
    variance = n / (n - 1) * ((by_patient - p) ** 2).sum() / n**2
    n /= max(1.0, variance / (p * (1 - p) / n)) if 0 < p < 1 else 1.0
    z = norm.ppf(0.975)
    middle, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return p, *((middle + np.array([-half, half])) / (1 + z**2 / n))


def brier(test):
    """Squared errors; variance over patients, t with one degree of freedom less than patients."""
    errors = test.assign(error=(test["prob"] - test["label"]) ** 2).groupby("patient_id")["error"].mean()
    half = t.ppf(0.975, len(errors) - 1) * errors.std(ddof=1) / np.sqrt(len(errors))
    return errors.mean(), max(errors.mean() - half, 0.0), errors.mean() + half


def recalibration(test):
    """Logistic regression of the label on the logit of the probability in each run; errors clustered in patients."""
    fits, errors = [], []
    for _, run in test.groupby(RUN):
        design = np.column_stack([np.ones(len(run)), logit(run["prob"])])
        labels, beta = run["label"].to_numpy(), np.zeros(2)
        for _ in range(50):
            fitted = expit(design @ beta)
            bread = np.linalg.inv(design.T @ (design * (fitted * (1 - fitted))[:, None]))
            beta = beta + bread @ design.T @ (labels - fitted)
        scores = pd.DataFrame(design * (labels - fitted)[:, None]).groupby(run["patient_id"].to_numpy()).sum()
        n_rows, n_people = len(run), len(scores)
        small = n_people / (n_people - 1) * (n_rows - 1) / (n_rows - 2)
        cov = small * bread @ (scores.T.to_numpy() @ scores.to_numpy()) @ bread
        fits.append(beta)
        errors.append(np.sqrt(np.diag(cov)))
    beta, half = np.mean(fits, axis=0), norm.ppf(0.975) * np.mean(errors, axis=0)
    return {name: (beta[k], beta[k] - half[k], beta[k] + half[k]) for k, name in ((1, "slope"), (0, "intercept"))}


def test_the_main_table_comes_out(evaluated, predictions):
    shown = main_table(*evaluated).data.set_index("arm")
    n_intervals = 0
    for arm, rows in predictions.groupby("arm"):
        test, line = evaluated_by_hand(rows), shown.loc[arm]

        def same(metric, found, ends=True, rel=1e-4, line=line):
            wanted = line[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy(dtype=float)
            assert found[0] == pytest.approx(wanted[0], rel=rel, abs=1e-5), metric
            if ends:
                assert found[1:] == pytest.approx(wanted[1:], rel=rel, abs=1e-4), metric

        found = area(test)
        same("roc_auc", found, ends=not np.isnan(found[1]))
        for metric, label, called in (("sensitivity_at_90_specificity", 1, True), ("specificity_achieved", 0, False)):
            found = share(test, label, called)
            same(metric, found, ends=0 < found[0] < 1)  # Methods: exact at 0 and 100 %
            n_intervals += 0 < found[0] < 1
        same("brier", brier(test), rel=1e-3)
        if not np.isnan(line["calibration_slope"]):
            for name, values in recalibration(test).items():
                same(f"calibration_{name}", values, rel=5e-3)
            n_intervals += 1
    assert n_intervals >= 8, "the comparison is of numbers, not of gaps"


def test_methods_say_what_it_takes(evaluated):
    """Each of these changes the main table: without smoothed targets a slope of 1.20 is 0.51."""
    text = "\n".join(methods(*evaluated))
    for phrase in (
        "The score of a breast was the mean logit of its views; the score of a patient was the greatest of",
        "(P + 1)/(P + 2) and 1/(N + 2), where P and N are the numbers of positive and negative patients",
        "a slope, not below 0",
        "the smallest logit of a negative patient that at least 90 % of the negative ones do not exceed",
        "those above the threshold count as called positive",
        "the mean of the values within test folds",
        "averaged over repeats and seeds",
        "were averaged over runs before the variance over patients was taken",
        "on the logit scale",
        "Wilson intervals",
        "reduced by the design effect of patients (exact ones at 0 and 100 %)",
        "of the label on the logit of the calibrated probability",
    ):
        assert phrase in text, phrase
