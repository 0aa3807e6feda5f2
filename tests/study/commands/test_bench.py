import json

import pytest
from typer.testing import CliRunner

from study import bench
from study.benchmarks.contenders import Timing
from study.benchmarks.contest import first_cells, replicate_cohort, scale_seconds

RUN = CliRunner()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_contest_runs_and_its_numbers_hold_together(tmp_path, quick_processes):
    arguments = ["--data", "phantom", "--preset", "tiny", "--limit-patients", "16", "--epochs", "1"]
    contenders = "naive,careful,lockstep"
    where = ["--out", str(tmp_path), "--json", str(tmp_path / "bench.json"), "--ablation", "tabular,concat"]
    done = RUN.invoke(bench.app, [*arguments, *where, "--contenders", contenders])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "bench.json").read_text())
    assert set(facts["seconds"]) == {"naive", "careful", "lockstep", "lower_bound"}
    assert facts["ratios"]["naive/lockstep"] == pytest.approx(facts["seconds"]["naive"] / facts["seconds"]["lockstep"])
    assert facts["ratios"]["lockstep/lower_bound"] > 1
    assert sum(facts["lockstep_parts"].values()) == pytest.approx(facts["seconds"]["lockstep"])
    assert all(value > 0 for value in facts["peak_mib"].values())
    assert facts["n_cells"] == 4 and facts["measured_cells"] == {"naive": 2, "careful": 2}
    assert facts["full_study"]["lockstep"] == pytest.approx(2 * facts["seconds"]["lockstep"]), (
        "two epochs instead of one"
    )
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "nothing is left behind"


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (["--workers", "1,2"], {"workers", "seconds", "speed_up", "bound", "peak_mib", "parts"}),
        (["--contention"], {"alone_seconds", "beside_seconds", "ratio"}),
    ],
)
def test_processes_and_neighbours_are_timed(tmp_path, quick_processes, kind, keys):
    arguments = ["--data", "phantom", "--preset", "tiny", "--limit-patients", "16", "--epochs", "1"]
    where = ["--out", str(tmp_path), "--json", str(tmp_path / "bench.json"), "--ablation", "tabular,concat"]
    done = RUN.invoke(bench.app, [*kind, *arguments, *where])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "bench.json").read_text())
    assert set(facts) >= keys and facts["n_cells"] == 4
    if "bound" in facts:
        assert facts["workers"] == [1, 2] and facts["speed_up"][0] == 1
        assert all(0 < bound < seconds for bound, seconds in zip(facts["bound"], facts["seconds"], strict=True))
        assert facts["bound"][1] < facts["bound"][0]


def test_numbers_of_processes_are_checked():
    done = RUN.invoke(bench.app, ["--workers", "1,zero"])
    assert done.exit_code == 2 and "--workers 1,zero: write numbers of processes" in " ".join(done.output.split())


def test_the_looks_of_an_audit_are_timed(tmp_path):
    where = ["--limit-patients", "16", "--out", str(tmp_path), "--json", str(tmp_path / "audit.json")]
    done = RUN.invoke(bench.app, ["--audit", "--data", "phantom", "--preset", "tiny", *where])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "audit.json").read_text())
    assert set(facts) >= {"reading", "pixels, keep", "pixels, inpaint", "pixels, sham", "appearance", "near-duplicates"}
    assert all(value > 0 for value in facts.values())


def test_an_unknown_contender_is_named():
    done = RUN.invoke(bench.app, ["--contenders", "naive,magic"])
    assert done.exit_code == 2 and "magic: known are naive, careful" in " ".join(done.output.split())


def test_copies_are_other_patients(tiny):
    planned = tiny.plan("x", arms="tabular")
    twice = replicate_cohort(planned.cohort, 2)
    assert len(twice.images) == 2 * len(planned.cohort.images) and twice.n_patients == 2 * planned.cohort.n_patients
    assert twice.images["image_id"].is_unique
    assert twice.images["path"].nunique() == len(planned.cohort.images)


def test_scaling_from_the_cells_measured(tiny):
    cells = tiny.plan("x", sets=["protocol.repeats=2"]).cells
    few = first_cells(cells, 1)
    assert [cell.arm for cell in few] == ["image", "tabular", "concat", "attention"]
    timing = Timing(total=13.0, once=5.0, cells={cell.name: 2.0 for cell in few})
    assert scale_seconds(timing, cells) == 5 + 2 * len(cells)


def test_a_wave_of_a_search_against_its_trials_one_after_another(tmp_path):
    arguments = ["--search", "--data", "phantom", "--preset", "tiny", "--ablation", "tabular", "--epochs", "1"]
    place = ["--limit-patients", "0", "--out", str(tmp_path), "--json", str(tmp_path / "wave.json")]
    done = RUN.invoke(bench.app, [*arguments, *place])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "wave.json").read_text())
    assert facts["n_trials"] == 4 * (2 + 1), "four trials in two folds and on the whole cohort"
    assert set(facts["seconds"]) == {"lockstep", "trial_by_trial", "fit_by_fit"}


@pytest.mark.parametrize("kinds", [["--pack", "--audit"], ["--coverage", "--search"]])
def test_one_thing_is_measured_at_a_time(kinds):
    done = RUN.invoke(bench.app, kinds)
    assert done.exit_code == 2 and "one thing at a time" in done.output


def test_options_without_effect_are_refused():
    done = RUN.invoke(bench.app, ["--coverage", "--epochs", "3", "--data", "phantom"])
    assert done.exit_code == 2 and "--data, --epochs: without effect on coverage" in " ".join(done.output.split())
    done = RUN.invoke(bench.app, ["--folds", "mine.json"])
    assert done.exit_code == 2 and "a benchmark draws its folds" in " ".join(done.output.split())
