"""Coverage counts what is inside, and its command runs."""

import json

import pytest
from typer.testing import CliRunner

from study import bench
from study.benchmarks import coverage as module
from study.benchmarks.coverage import coverage, judge_intervals, verdict_rates
from study.benchmarks.simulation import Setting


def test_coverage_counts_what_is_inside():
    lines = judge_intervals(Setting(60, 0.37, 0.4, 0.0, 0.8, 0.0), 3, 0)
    lines["e1_delong_low"], lines["e1_delong_high"] = [0.0, 0.0, 2.0], [1.0, 1.0, 3.0]
    found = coverage(lines).set_index(["quantity", "method"])
    line = found.loc[("AUC", "fold-stratified clustered DeLong (primary)")]
    assert line["coverage"] == pytest.approx(2 / 3) and line["width"] == pytest.approx(1.0)
    assert sum(list(verdict_rates(lines).values())[:6]) == pytest.approx(1.0)


def test_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "tasks", lambda n, seed: [module.Task(60, 0.37, 0.8, 0.0, n, seed)])
    found = CliRunner().invoke(
        bench.app,
        ["--coverage", "--replicates", "20", "--jobs", "1", "--json", str(tmp_path / "s.json")],
        env={"COLUMNS": "160"},
    )
    assert found.exit_code == 0, found.output
    facts = json.loads((tmp_path / "s.json").read_text())
    assert len(facts["coverage"]) == len(module.METHODS) and "Verdicts at AUC 0.8" in found.output
