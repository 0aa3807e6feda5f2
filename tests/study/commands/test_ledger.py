"""`python -m study.ledger` as it is typed."""

import json

import pytest
from typer.testing import CliRunner

from study import ledger


@pytest.mark.slow
def test_a_ledger_of_one_arm(tmp_path):
    options = ["--data", "phantom", "--preset", "tiny", "--ablation", "tabular", "--candidates", "2"]
    schedule = ["--set", "train.max_epochs=1", "--json", f"{tmp_path}/out.json"]
    places = ["--out", f"{tmp_path}/results", "--reports", f"{tmp_path}/reports"]
    done = CliRunner().invoke(ledger.app, [*options, *schedule, *places])
    assert done.exit_code == 0, done.output
    assert "leaky by design" in done.output.lower()
    folder = tmp_path / "reports" / "phantom-tiny-audit"
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts == json.loads((folder / "ledger.json").read_text())
    assert (tmp_path / "results" / "phantom-tiny" / "ledger" / "ledger.json").exists()


def test_an_interrupt_says_how_to_continue(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("study.leaks.optimism.run", interrupted)
    done = CliRunner().invoke(ledger.app, ["--data", "phantom", "--preset", "tiny", "--out", str(tmp_path)])
    assert done.exit_code == 130 and "To continue: python -m study.ledger --data" in " ".join(done.output.split())
