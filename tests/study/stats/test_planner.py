import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from study import precision
from study.console import precision_text
from study.stats import planner
from study.stats.planner import Plan, patients_for_equivalence, plan

BASE = Plan(n_patients=300, prevalence=0.37, auc=0.8, images_per_patient=4, folds=5)
SHIFT = math.sqrt(2) * stats.norm.ppf(0.8)
"""Distance of two unit normal classes with an AUC of 0.8."""

plans = st.builds(
    Plan,
    n_patients=st.integers(200, 5000),
    prevalence=st.floats(0.1, 0.9),
    auc=st.floats(0.5, 0.98),
    images_per_patient=st.floats(1, 8),
    folds=st.integers(2, 10),
    repeats=st.integers(1, 5),
    correlation=st.floats(-0.5, 0.95),
    icc=st.floats(0, 1),
)


class TestVariance:
    @pytest.mark.parametrize(
        ("n_positive", "n_negative", "printed"), [(20, 200, 0.06498283), (110, 110, 0.03282048), (20, 20, 0.07789072)]
    )
    def test_agrees_with_the_r_package_auctestr(self, n_positive, n_negative, printed):
        """The examples in the manual page of its `se_auc`, an implementation of Hanley and McNeil (1982)."""
        assert math.sqrt(planner.auc_variance(0.75, n_positive, n_negative)) == pytest.approx(printed, abs=5e-9)

    def test_by_hand(self):
        # A = 0.5: Q1 = Q2 = 1/3, so (1/4 + 9/12 + 19/12) / 200
        assert planner.auc_variance(0.5, 10, 20) == pytest.approx(31 / 12 / 200)
        plan_ = Plan(n_patients=150, prevalence=1 / 3, auc=0.5, images_per_patient=1, folds=5)
        assert planner.fold_variance(plan_) == pytest.approx(31 / 12 / 200)
        assert planner.se_fitted(plan_) ** 2 == pytest.approx(5 * 31 / 12 / 200 / 25)
        assert planner.se_procedure(plan_) ** 2 == pytest.approx(31 / 12 / 200 * (1 / 5 + 1 / 4))

    def test_flipped_labels_and_scores_change_nothing_at_chance(self):
        assert planner.auc_variance(0.5, 30, 70) == pytest.approx(planner.auc_variance(0.5, 70, 30))

    @settings(max_examples=50, deadline=None)
    @given(plans)
    def test_falls_as_one_over_n(self, inputs):
        often = replace(inputs, n_patients=100 * inputs.n_patients)
        more = replace(inputs, n_patients=10_000 * inputs.n_patients)
        assert planner.fold_variance(often) < planner.fold_variance(inputs)
        assert planner.fold_variance(often) / planner.fold_variance(more) == pytest.approx(100, rel=0.01)

    def test_more_folds_cost_the_mean_little_and_the_procedure_less(self):
        three, ten = replace(BASE, folds=3), replace(BASE, folds=10)
        assert planner.se_fitted(three) < planner.se_fitted(ten) < 1.05 * planner.se_fitted(three)
        assert planner.se_procedure(ten) > planner.se_fitted(ten)
        assert plan(ten).e2_width < plan(three).e2_width, "more degrees of freedom"

    def test_repeats_narrow_the_procedure_alone(self):
        many = plan(replace(BASE, repeats=10))
        assert many.se_patient == plan(BASE).se_patient
        assert many.e2_width < plan(BASE).e2_width
        floor = math.sqrt(planner.fold_variance(BASE) / 4)
        assert many.se_procedure == pytest.approx(floor), "the training sets overlap, however often they are drawn"


class TestImages:
    @settings(max_examples=50, deadline=None)
    @given(plans)
    def test_lie_between_independent_images_and_one_a_patient(self, inputs):
        c = inputs.images_per_patient
        alike, apart = (planner.fold_variance(replace(inputs, icc=icc), "image") for icc in (1.0, 0.0))
        assert alike == pytest.approx(planner.fold_variance(inputs))
        independent = planner.auc_variance(inputs.auc, *(c * n for n in inputs.per_fold))
        assert apart == pytest.approx(independent)
        assert apart * (1 - 1e-9) <= planner.fold_variance(inputs, "image") <= alike * (1 + 1e-9)

    def test_one_image_a_patient_is_the_patient(self):
        result = plan(replace(BASE, images_per_patient=1))
        assert result.e1_image == result.e1_patient

    def test_clustering_by_hand(self):
        assert planner.clustering(4, 0.5) == 0.625
        assert planner.clustering(1, 0.3) == 1


class TestIntervalsAndPower:
    def test_logit_interval_by_hand(self):
        # logit 0.8 = ln 4, SE 0.016 / 0.16 = 0.1
        interval = planner.logit_interval(0.8, 0.016)
        ends = [4 * math.exp(side * 0.1959964) for side in (-1, 1)]
        assert (interval.low, interval.high) == pytest.approx([odds / (1 + odds) for odds in ends], abs=1e-8)
        assert interval.width == pytest.approx(interval.high - interval.low)

    def test_procedure_by_hand(self):
        result = plan(BASE)
        assert result.e2_width == pytest.approx(2 * 2.776445 * result.se_procedure, rel=1e-6)
        assert result.equivalence_half_width == pytest.approx(2.131847 * result.se_difference_e2, rel=1e-6)
        assert result.detectable_e1 == pytest.approx((1.959964 + 0.841621) * result.se_difference_e1, rel=1e-6)

    def test_a_difference_is_that_of_correlated_estimates(self):
        assert planner.difference(0.03, 0.5) == pytest.approx(0.03)
        assert planner.difference(0.03, 0.0) == pytest.approx(0.03 * math.sqrt(2))

    @pytest.mark.parametrize("df", [1, 4, 9, 49])
    @pytest.mark.parametrize("effect", [0.5, 2.0, 4.0])
    def test_power_is_the_noncentral_t(self, df, effect):
        expected = stats.nct.sf(stats.t.ppf(0.975, df), df, effect)
        assert planner.difference_power(effect, df) == pytest.approx(expected, abs=2e-4)

    @pytest.mark.parametrize(("df", "margin"), [(4, 3.0), (9, 2.5), (49, 4.0)])
    def test_power_of_equivalence_is_that_of_simulated_intervals(self, df, margin):
        rng = np.random.default_rng(0)
        error, spread = rng.standard_normal(200_000), np.sqrt(rng.chisquare(df, 200_000) / df)
        inside = np.abs(error) + stats.t.ppf(0.95, df) * spread < margin
        assert planner.equivalence_power(margin, df) == pytest.approx(inside.mean(), abs=0.004)

    def test_detectable_differences_have_the_power_asked_for(self):
        for power in (0.5, 0.8, 0.95):
            result = plan(replace(BASE, power=power))
            effect = result.detectable_e2 / result.se_difference_e2
            assert planner.difference_power(effect, 4) == pytest.approx(power, abs=1e-9)


class TestPatientsNeeded:
    @settings(max_examples=15, deadline=None)
    @given(plans, st.sampled_from([0.02, 0.05]))
    def test_the_number_suffices_and_fewer_do_not(self, inputs, delta):
        inputs = replace(inputs, delta=delta)
        result = plan(inputs)
        aims = {
            "patients_precision": lambda r: r.e1_patient.width <= 2 * r.inputs.half_width,
            "patients_difference_e1": lambda r: r.detectable_e1 <= delta,
            "patients_difference_e2": lambda r: r.detectable_e2 <= delta,
            "patients_equivalence": lambda r: r.equivalence_chance >= inputs.power - 1e-7,
        }
        for name, reached in aims.items():
            n = getattr(result, name).n_patients
            if n is None:
                continue
            assert reached(plan(replace(inputs, n_patients=n)))
            assert n == planner.fewest_patients(inputs) or not reached(
                plan(replace(inputs, n_patients=n - max(1, n // 1000)))
            )

    def test_a_report_and_the_planner_give_one_answer(self):
        """Given the same standard error: the planner's is expected, a report's that of its contrast."""
        large = plan(replace(BASE, n_patients=20_000))
        needed, low, high = patients_for_equivalence(
            large.se_difference_e2, large.inputs.df, 20_000, delta=BASE.delta, power=BASE.power
        )
        assert needed == pytest.approx(large.patients_equivalence.n_patients, rel=0.01)
        assert low < needed < high
        nowhere = patients_for_equivalence(math.nan, 4, 100, delta=0.02, power=0.8)
        assert all(math.isnan(value) for value in nowhere), "a single split has no E2 variance"

    def test_the_range_is_that_of_an_estimated_variance(self):
        true = patients_for_equivalence(0.02, 6, 300, delta=0.02, power=0.8)[0]
        drawn = np.sqrt(0.02**2 * np.random.default_rng(3).chisquare(6, 400) / 6)
        ranges = [patients_for_equivalence(se, 6, 300, delta=0.02, power=0.8) for se in drawn]
        assert 0.75 < np.mean([low <= true <= high for _, low, high in ranges]) < 0.85

    def test_more_than_ten_million_is_a_reason_and_no_number(self):
        needed = plan(replace(BASE, delta=0.0001)).patients_equivalence
        assert needed.n_patients is None and needed.reason == "more than 10,000,000 patients"

    def test_an_easy_aim_needs_the_fewest_that_the_folds_allow(self):
        needed = plan(replace(BASE, half_width=0.49)).patients_precision
        assert needed.n_patients == 14 and "folds" in needed.reason

    def test_resolution_follows_the_size(self):
        enough = plan(BASE).patients_equivalence.n_patients
        told = {n: precision_text.resolution(plan(replace(BASE, n_patients=n))) for n in (300, enough // 2, enough)}
        assert "cannot be resolved" in told[300] and "patients would be needed" in told[300]
        assert "less than the wanted power" in told[enough // 2]
        assert "can be resolved:" in told[enough] and "needed" not in told[enough]
        assert not plan(BASE).delta_fits and plan(replace(BASE, n_patients=enough)).delta_fits


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n_patients": 0}, "n_patients"),
        ({"n_patients": 13}, "n_patients is 13; 5 folds at prevalence 0.37 need at least 14"),
        ({"prevalence": 0.0}, "prevalence"),
        ({"prevalence": float("nan")}, "prevalence"),
        ({"auc": 1.0}, "auc"),
        ({"auc": 0.4}, "auc"),
        ({"images_per_patient": 0.5}, "images_per_patient"),
        ({"folds": 1}, "folds"),
        ({"repeats": 0}, "repeats"),
        ({"correlation": 1.0}, "correlation"),
        ({"icc": 1.1}, "icc"),
        ({"delta": 0.0}, "delta"),
        ({"power": 1.0}, "power"),
        ({"half_width": 0.5}, "half_width"),
    ],
)
def test_values_outside_their_range_name_the_field(change, field):
    with pytest.raises(ValueError, match=f"^{field}"):
        replace(BASE, **change)
    assert replace(BASE, n_patients=14)


class TestCommand:
    FLAGS = ("--patients", "300", "--prevalence", "0.37", "--auc", "0.80", "--images-per-patient", "4", "--folds", "5")

    def invoke(self, *flags):
        done = CliRunner().invoke(precision.app, [*self.FLAGS, *flags], env={"COLUMNS": "160"})
        return done.exit_code, " ".join(done.output.split())

    def test_prints_the_table_and_the_sentences(self, tmp_path):
        code, text = self.invoke("--json", f"{tmp_path}/plan.json")
        facts = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
        assert code == 0
        assert all(part in text for line in precision_text.lines(plan(BASE)) for part in line)
        assert precision_text.assumptions(BASE) in text and precision_text.resolution(plan(BASE)) in text
        assert facts["inputs"]["n_patients"] == 300 and facts["se_patient"] == plan(BASE).se_patient
        assert facts["patients_precision"]["n_patients"] == plan(BASE).patients_precision.n_patients
        assert facts["lines"] == dict(precision_text.lines(plan(BASE)))

    def test_flags_reach_the_plan(self, tmp_path):
        flags = {"repeats": 3, "correlation": 0.8, "icc": 0.2, "delta": 0.05, "power": 0.9, "half-width": 0.04}
        given_ = [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        code, text = self.invoke(*given_, "--json", f"{tmp_path}/plan.json")
        inputs = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["inputs"]
        assert code == 0 and "3 repeats" in text
        assert {flag: inputs[flag.replace("-", "_")] for flag in flags} == flags

    @pytest.mark.parametrize(
        ("flags", "told"),
        [
            (("--prevalence", "1.5"), "error ConfigError: --prevalence is 1.5; it must be between 0 and 1"),
            (("--patients", "10"), "error ConfigError: --patients is 10; 5 folds at prevalence 0.37 need at least 14"),
            (
                ("--json", "/nowhere/plan.json"),
                "error ConfigError: --json /nowhere/plan.json: cannot be written (No such file",
            ),
        ],
    )
    def test_errors_are_one_line(self, flags, told):
        done = CliRunner().invoke(precision.app, [*self.FLAGS, *flags])
        assert done.exit_code == 2 and done.output.startswith(told) and done.output.count("\n") == 1

    def test_needs_no_torch(self):
        code = "import sys, study.precision\ntry: study.precision.app()\nfinally: print('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code, *self.FLAGS], capture_output=True, text=True, check=True)
        assert "AUC of patients" in done.stdout and done.stdout.endswith("False\n")


POSITIVES = np.array([23, 22, 22, 22, 22])
NEGATIVES = np.array([37, 38, 38, 38, 38])
"""Test patients of five folds: 300 at a prevalence of 0.37, stratified."""


def normals(rng, n_studies, n_patients, n_images, share):
    """Unit normals (n_studies, n_patients, n_images) that correlate at `share` within a patient."""
    of_patients = rng.standard_normal((n_studies, n_patients, 1), dtype=np.float32)
    of_images = rng.standard_normal((n_studies, n_patients, n_images), dtype=np.float32)
    return math.sqrt(share) * of_patients + math.sqrt(1 - share) * of_images


def fold_means(rng, n_studies, n_images=1, share=0.0, models=1, between_models=0.0):
    """Fold-mean AUC (models, n_studies) of binormal scores, AUC 0.8, whose noise correlates between the models."""
    total = np.zeros((models, n_studies))
    for n_positive, n_negative in zip(POSITIVES, NEGATIVES, strict=True):
        shapes = [(n_studies, n, n_images, share) for n in (n_positive, n_negative)]
        common = [normals(rng, *shape) for shape in shapes]
        for model in range(models):
            positive, negative = (
                (
                    (math.sqrt(between_models) * part + math.sqrt(1 - between_models) * normals(rng, *shape))
                    if models > 1
                    else part
                )
                for part, shape in zip(common, shapes, strict=True)
            )
            above = (positive + SHIFT).reshape(n_studies, -1, 1) > negative.reshape(n_studies, 1, -1)
            total[model] += above.mean(axis=(1, 2))
    return total / len(POSITIVES)


def joint_below(correlation):
    """P(Z1 < z, Z2 < z) - 0.8²: covariance of placement values, for equal-variance binormal scores of AUC 0.8."""
    z = stats.norm.ppf(0.8)
    pair = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]])
    return pair.cdf([z, z]) - 0.8**2


def binormal_se(shared=1.0):
    """Standard error of the fold mean of such scores, with the variance of a patient's mean over that of one image."""
    variance = joint_below(0.5)
    of_pairs = 0.16 - 2 * variance
    per_fold = shared * variance * (1 / POSITIVES + 1 / NEGATIVES) + shared**2 * of_pairs / (POSITIVES * NEGATIVES)
    return math.sqrt(per_fold.sum()) / len(POSITIVES)


class TestSimulation:
    """Binormal scores; the planner supposes exponential ones, with a standard error 7 % larger at this prevalence.

    The numbers of studies leave about three standard errors of chance between what is expected and what is tolerated.
    """

    def test_standard_error_of_the_fold_mean(self):
        means = fold_means(np.random.default_rng(0), 30_000)[0]
        planned = planner.se_fitted(BASE)
        assert means.mean() == pytest.approx(0.8, abs=0.001)
        assert means.std() == pytest.approx(planned, rel=0.08)
        assert means.std() == pytest.approx(binormal_se(), rel=0.02), "the rest of the 8 % is the shape of the scores"

    def test_the_shape_of_the_scores_matters_by_prevalence(self):
        variance, planned = joint_below(0.5), [planner.auc_variance(0.8, *n) for n in ((22.2, 37.8), (37.8, 22.2))]
        exact = variance / 22.2 + variance / 37.8 + (0.16 - 2 * variance) / (22.2 * 37.8)
        assert np.sqrt(np.array(planned) / exact) == pytest.approx([1.07, 0.96], abs=0.006)

    def test_standard_error_of_a_difference(self):
        one, two = fold_means(np.random.default_rng(1), 4000, models=2, between_models=0.6)
        correlation = float(np.corrcoef(one, two)[0, 1])
        planned = plan(replace(BASE, correlation=correlation)).se_difference_e1
        assert 0.4 < correlation < 0.65
        assert (one - two).std() == pytest.approx(planned, rel=0.12)

    @pytest.mark.parametrize("share", [0.3, 0.8])
    def test_standard_error_of_images(self, share):
        """The icc is that of placement values Φ(score), a little below the correlation `share` of the scores.

        Two images of a positive patient, each against a negative image of its own: their comparisons correlate at
        share / 2 as scores, at 1 / 2 if they were one image.
        """
        means = fold_means(np.random.default_rng(2), 6000, n_images=4, share=share)[0]
        icc = joint_below(share / 2) / joint_below(0.5)
        planned = planner.se_fitted(replace(BASE, icc=icc), "image")
        assert share - 0.05 < icc < share
        assert means.std() == pytest.approx(planned, rel=0.1)
        assert means.std() == pytest.approx(binormal_se(planner.clustering(4, icc)), rel=0.03)
