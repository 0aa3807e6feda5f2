"""The simulation's own pieces: what it calls the truth is the truth, and its command runs."""

import json

import numpy as np
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from study.benchmarks import coverage as module
from study.benchmarks.coverage import World, coverage, tried, verdict_rates, world


def test_the_closed_form_of_the_true_auc_is_that_of_many_new_patients():
    """A fixed discriminant on a huge cohort: patient level and image level."""
    setting = World(20_000, 0.4, 0.4, 0.2, 0.8, 0.0)
    rng = np.random.default_rng(0)
    labels = (np.arange(20_000) < 8000).astype(int)
    images = module._features(setting, labels, rng)
    w = rng.normal(size=12)
    scores = images.mean(axis=1) @ w
    away = w @ setting.shifts / np.linalg.norm(w)
    spread = module.PATIENT + module.BREAST / 2 + module.IMAGE / 4
    from study.stats.auc import delong

    assert delong(labels, scores).value[0] == pytest.approx(norm.cdf(away / np.sqrt(2 * spread)), abs=0.012)
    rows = np.repeat(labels, 4)
    assert delong(rows, (images @ w).ravel()).value[0] == pytest.approx(norm.cdf(away / np.sqrt(2)), abs=0.012)


def test_a_world_is_as_asked_for():
    found = world(150, 0.37, 0.8, 0.05)
    draws = [module.simulate(found, np.random.default_rng(1000 + k), repeats=1, seeds=1).truth for k in range(150)]
    first, second = np.mean(draws, axis=(0, 2, 3, 4))
    assert second == pytest.approx(0.8, abs=0.01) and first - second == pytest.approx(0.05, abs=0.01)


def test_test_patients_are_scored_by_models_that_did_not_see_them():
    setting = World(60, 0.37, 0.0, 0.0, 0.5, 0.0)
    areas = [module.simulate(setting, np.random.default_rng(k), repeats=1, seeds=1) for k in range(80)]
    from study.stats.comparison import fold_areas

    assert np.mean([fold_areas(draw.pair).mean() for draw in areas]) == pytest.approx(0.5, abs=0.02)


def test_the_expected_average_precision_is_the_mean_over_many_test_sets():
    rng, labels = np.random.default_rng(3), np.repeat([1, 0], [5, 13])
    scores = rng.normal(size=(6000, 18)) + np.sqrt(2) * norm.ppf(0.75) * labels
    from sklearn.metrics import average_precision_score

    positive_at = labels[np.argsort(-scores, axis=1)]
    precision = np.cumsum(positive_at, axis=1) / np.arange(1, 19)
    found = (precision * positive_at).sum(axis=1) / 5
    assert found[:50] == pytest.approx([average_precision_score(labels, row) for row in scores[:50]], abs=1e-12)
    assert module.expected_average_precision(np.array([0.75]), 5, 13)[0] == pytest.approx(found.mean(), abs=0.006)
    assert module.expected_average_precision(np.array([0.5]), 1, 1)[0] == pytest.approx(0.75, abs=1e-6)


def test_coverage_counts_what_is_inside():
    lines = tried(World(60, 0.37, 0.4, 0.0, 0.8, 0.0), 3, 0)
    lines["e1_delong_low"], lines["e1_delong_high"] = [0.0, 0.0, 2.0], [1.0, 1.0, 3.0]
    found = coverage(lines).set_index(["quantity", "method"])
    line = found.loc[("AUC", "fold-stratified clustered DeLong (primary)")]
    assert line["coverage"] == pytest.approx(2 / 3) and line["width"] == pytest.approx(1.0)
    assert sum(list(verdict_rates(lines).values())[:5]) == pytest.approx(1.0)


def test_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "tasks", lambda n, seed: [module.Task(60, 0.37, 0.8, 0.0, n, seed)])
    found = CliRunner().invoke(
        module.app, ["--replicates", "20", "--jobs", "1", "--json", str(tmp_path / "s.json")], env={"COLUMNS": "160"}
    )
    assert found.exit_code == 0, found.output
    facts = json.loads((tmp_path / "s.json").read_text())
    assert len(facts["coverage"]) == len(module.METHODS) and "Verdicts at AUC 0.8" in found.output
