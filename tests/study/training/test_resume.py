"""Stopped at any moment, by a kill or by the machine, and continued to the same bytes."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from mmbc.errors import StudyError
from study.records.cell_records import CHECKPOINT, delete_checkpoint, read_checkpoint, write_checkpoint
from study.records.progress import Observer as Quiet

ROOT = Path(__file__).resolve().parents[3]
KILLS = 10
ZYGOTE = """
import os, sys, traceback
from pathlib import Path
from mmbc.data.readers import Source
from study.records.progress import Observer
from study.design.request import Request
from study.training.preparation import prepare
from study.training.run import carry_out
from study.design.study_file import chosen_arms, load

study = load("tiny", None, ["train.max_epochs=4", "train.patience=4", "protocol.holdout=0.4"])
study = study.model_copy(update={"arms": {arm: study.arms[arm] for arm in chosen_arms(study, "image,concat")}})
for line in sys.stdin:  # one study a line, each in a process of its own; what takes long to import is imported once
    child = os.fork()
    if child == 0:
        try:
            request = Request(Source("phantom", None), study, Path("results"), line.strip(), checkpoint_every=1)
            carry_out(prepare(request, Observer()), request, Observer(), command=["test"], findings=[])
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Zygote:
    """A process that runs studies, each in a child that can be killed."""

    def __init__(self, folder):
        self.folder = folder
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, name, kill_after=None):
        """Run a study; return its exit code (-9 if it was killed)."""
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it may have ended before
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def contents(self, name):
        """Return what must be equal: predictions, weights, and the history without its timings."""
        found = {}
        for cell in sorted((self.folder / "results" / name / "cells").iterdir()):
            for file in ("predictions.parquet", "model.safetensors"):
                if (cell / file).exists():
                    found[cell.name, file] = (cell / file).read_bytes()
            if (cell / "history.csv").exists():
                found[cell.name, "history"] = pd.read_csv(cell / "history.csv").drop(columns="seconds").to_csv()
            assert not (cell / CHECKPOINT).exists(), "nothing is left of an unfinished state"
        return found


@pytest.mark.exhaustive
@pytest.mark.slow
def test_killed_at_random_moments_the_same_command_gives_the_same_bytes(tmp_path):
    with Zygote(tmp_path) as zygote:
        assert zygote.run("warm") == 0  # renders the phantom
        began = time.monotonic()
        assert zygote.run("whole") == 0
        seconds = time.monotonic() - began
        expected = zygote.contents("whole")
        assert len(expected) == 2 * 3 + 1, "two cells and the baseline's predictions"
        draw, kills, number = random.Random(0), 0, 0
        while kills < KILLS:
            code = zygote.run(f"killed-{number}", kill_after=draw.uniform(0.1, 0.7) * seconds)
            kills += code == -signal.SIGKILL
            if code == 0:  # it was faster; the next kills meet a new study
                assert zygote.contents(f"killed-{number}") == expected
                number += 1
        assert zygote.run(f"killed-{number}") == 0
        assert zygote.contents(f"killed-{number}") == expected


LONG = ["train.max_epochs=5", "train.patience=5"]


def interrupted(tiny, name, *, at, cells=slice(None), every=1, **options):
    """Plan a study and stop it after an epoch, as a kill between two epochs would."""

    class StopError(Exception):
        pass

    def stop(epoch, fits):
        if epoch == at:
            raise StopError

    planned = tiny.plan(name, arms="image,concat", sets=LONG)
    with pytest.raises(StopError):
        tiny.execute(planned, planned.cells[cells], after_epoch=stop, checkpoint_every=every, **options)
    return planned


def results(planned):
    found = {}
    for cell in planned.cells:
        folder = planned.folder / "cells" / cell.name
        found[cell.name] = (folder / "predictions.parquet").read_bytes(), (folder / "model.safetensors").read_bytes()
        history = pd.read_csv(folder / "history.csv").drop(columns="seconds")
        found[cell.name] += (history.to_csv(),)
    return found


@pytest.fixture(scope="module")
def whole(tiny):
    planned = tiny.plan("whole", arms="image,concat", sets=LONG)
    tiny.execute(planned)
    return results(planned)


def test_continued_from_a_checkpoint(tiny, whole):
    planned = interrupted(tiny, "stopped", at=3, every=2)
    cell = planned.cells[0]
    assert (planned.folder / "cells" / cell.name / CHECKPOINT).exists()
    epochs = []
    tiny.execute(planned, after_epoch=lambda epoch, fits: epochs.append(epoch))
    assert epochs == [2, 3, 4], "two epochs were done and are not done again"
    assert results(planned) == whole


def test_fits_that_come_from_different_epochs_meet_again(tiny, whole):
    planned = interrupted(tiny, "apart", at=3, cells=slice(0, 2))
    for cell in planned.cells[2:]:
        delete_checkpoint(planned.folder / "cells" / cell.name)
    together = []
    tiny.execute(planned, after_epoch=lambda epoch, fits: together.append((epoch, len(fits))))
    assert together == [(0, 2), (1, 2), (2, 2), (3, 4), (4, 4)]
    assert results(planned) == whole


def test_a_torn_checkpoint_is_named(tiny):
    planned = interrupted(tiny, "torn", at=2)
    file = planned.folder / "cells" / planned.cells[0].name / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(StudyError, match=rf"{planned.cells[0].name}/{CHECKPOINT}: is damaged; delete it"):
        tiny.execute(planned)


def test_a_checkpoint_of_another_configuration_is_not_used(tmp_path):
    write_checkpoint(tmp_path, {"name": "a", "seed": 0}, b"state", epoch=1)
    assert read_checkpoint(tmp_path, {"name": "a", "seed": 0}) == b"state"
    assert read_checkpoint(tmp_path, {"name": "a", "seed": 1}) is None
    delete_checkpoint(tmp_path)
    assert read_checkpoint(tmp_path, {"name": "a", "seed": 0}) is None


def test_without_checkpoints_none_is_written(tiny):
    planned = interrupted(tiny, "none", at=2, every=0)
    assert not list(planned.folder.rglob(CHECKPOINT))


def test_a_full_disk_is_named_and_loses_nothing(tiny, monkeypatch):
    planned = interrupted(tiny, "full", at=1)
    before = {file: file.read_bytes() for file in planned.folder.rglob(CHECKPOINT)}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StudyError, match=r"checkpoint.bin: could not be written \(No space left.*nothing written before"
    ):
        tiny.execute(planned, checkpoint_every=1)
    assert {file: file.read_bytes() for file in planned.folder.rglob(CHECKPOINT)} == before


def test_waves_change_nothing(tiny, whole):
    planned = tiny.plan("waves", arms="image,concat", sets=LONG)
    begun = []

    class Waves(Quiet):
        def begun(self, names):
            begun.append(len(names))

    tiny.execute(planned, max_live_fits=3, observer=Waves())
    assert begun == [3, 1]
    assert results(planned) == whole


def test_what_a_finished_cell_left_behind_is_cleared(tiny):
    planned = tiny.run("leftover", arms="tabular")
    leftover = planned.folder / "cells" / planned.cells[0].name / CHECKPOINT
    leftover.write_bytes(b"killed between the record and the clearing")
    tiny.run("leftover", arms="tabular")
    assert not leftover.exists()
