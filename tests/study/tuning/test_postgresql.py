"""Two processes share a search on a PostgreSQL server; one is killed; nothing is lost, nothing counts twice."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from study.records.search_archive import read_searched
from study.tuning.storage import close_storage, open_storage
from study.tuning.target_study import MARK


def program(name):
    found = shutil.which(name) or next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    return found and str(found)


@pytest.fixture(scope="module")
def server():
    """The address of an empty database on a server of this test's own, reached by a socket."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if not initdb or not pg_ctl:
        pytest.skip("PostgreSQL (Debian's package postgresql) is not installed")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="mmbc-pg-"))
    options = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        options = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data = folder / "data"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "env": environment, **options}
    subprocess.run([initdb, "-D", str(data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"], **run)
    flags = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run([pg_ctl, "-D", str(data), "-o", flags, "-l", str(folder / "log"), "-w", "start"], **run)
    try:
        yield f"postgresql://tester@/postgres?host={folder}"
    finally:
        subprocess.run([pg_ctl, "-D", str(data), "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder, ignore_errors=True)


PROCESS = """
import os, sys
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT)
os.dup2(log, 1), os.dup2(log, 2)
os.environ["COLUMNS"] = "200"
sys.argv = ["search", *{words!r}]
from study.search import app
{first}
app()
"""
"""A search in a process of its own."""

STUCK = """
import time
from study.tuning import search_loop
train_wave, waves = search_loop.train_wave, []
def train_and_wait(wave, *arguments, **options):
    results = train_wave(wave, *arguments, **options)
    waves.append(wave)
    time.sleep(0 if len(waves) == 1 else 1000)
    return results
search_loop.train_wave = train_and_wait
"""
"""A process that is still at its second wave when it is killed: the cells are there, and no result is stored."""


def command(folder, server):
    return [
        "--preset",
        "tiny",
        "--data",
        "phantom",
        "--ablation",
        "tabular",
        "--trials",
        "6",
        "--wave",
        "2",
        "--inner-folds",
        "2",
        "--no-best-toml",
        "--storage",
        server,
        "--name",
        "shared",
        "--out",
        str(folder / "results"),
        "--reports",
        str(folder / "reports"),
        "--no-figures",
        "--set",
        "data.phantom.n_patients=40",
        "--set",
        "protocol.folds=2",
    ]


def started(forks, words, log, first=""):
    process = forks.Process(target=exec, args=(PROCESS.format(log=str(log), words=words, first=first), {}))
    process.start()
    return process


def trials_by_study(server, folder):
    storage = open_storage(server, folder)
    found = {}
    for summary in optuna.get_all_study_summaries(storage):
        found[summary.study_name] = optuna.load_study(study_name=summary.study_name, storage=storage).get_trials()
    close_storage(storage)
    return found


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_share_a_search_and_one_is_killed(forks, server, tmp_path):
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    one = started(forks, command(tmp_path, server), logs[0], STUCK)

    def at_work():
        assert one.is_alive(), logs[0].read_text()
        trials = [t for trials in trials_by_study(server, tmp_path).values() for t in trials]
        finished = [t for t in trials if t.state == TrialState.COMPLETE]
        running = [t for t in trials if t.state == TrialState.RUNNING and "worker" in t.user_attrs]
        return len(finished) >= 4 and len(running) >= 4

    wait_for(at_work, 240, "a second wave of the first process")
    before = trials_by_study(server, tmp_path)
    two = started(forks, command(tmp_path, server), logs[1])
    time.sleep(0.5)
    one.kill()
    two.join(timeout=300)
    assert two.exitcode == 0, logs[1].read_text()

    after = trials_by_study(server, tmp_path)
    assert set(after) == {"shared/tabular/fold-0", "shared/tabular/fold-1"}
    lost = 0
    for name, trials in after.items():
        counted = [t for t in trials if t.state != TrialState.FAIL]
        assert len(counted) == 6 and all(t.state.is_finished() for t in counted), f"{name}: the budget is kept"
        done = [t for t in before[name] if t.state.is_finished() and t.state != TrialState.FAIL]
        assert [(t.number, t.params, t.values) for t in done] == [
            (t.number, t.params, t.values) for t in trials if t.number in {other.number for other in done}
        ], "what was finished before the kill still counts as it was"
        marks = [t.user_attrs[MARK] for t in counted if MARK in t.user_attrs]
        assert len(marks) == len(set(marks)) and "reference" in marks
        failed = [t for t in trials if t.state == TrialState.FAIL and t.params]
        lost += len(failed)
        again = [t.params for t in counted]
        assert all(t.params in again for t in failed), "what was lost was made again with the same values"
    assert lost > 0, "the killed process must have lost trials, or this test proves nothing"
    assert "was lost with its process" in logs[1].read_text()

    found = read_searched(tmp_path / "results" / "shared")
    assert found.trials.groupby(["arm", "fold"]).size().tolist() == [6] * 2
    assert not found.trials.duplicated(["arm", "fold", "number"]).any()
    assert found.trials["worker"].nunique() == 2, "both processes have trials in the final table"
    assert (tmp_path / "reports" / "shared" / "report.md").exists()
    kept = (tmp_path / "results" / "shared" / "environment.json").read_text()
    assert "tester@" in kept


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_at_once_end_with_one_table(forks, server, tmp_path):
    """Both begin on an empty folder at the same moment and both report the same, complete search."""
    words = [word.replace("shared", "at-once") for word in command(tmp_path, server)]
    both = [started(forks, words, log) for log in (tmp_path / "one.log", tmp_path / "two.log")]
    for process, log in zip(both, ("one.log", "two.log"), strict=True):
        process.join(timeout=400)
        assert process.exitcode == 0, (tmp_path / log).read_text()
    found = read_searched(tmp_path / "results" / "at-once")
    assert found.trials.groupby(["arm", "fold"]).size().tolist() == [6] * 2
    assert found.trials.groupby(["arm", "fold"])["default"].sum().tolist() == [1] * 2
    assert not found.trials.duplicated(["arm", "fold", "number"]).any()
