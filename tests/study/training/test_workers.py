"""Workers: the same bits whatever their number; pruned, killed and continued; errors as without them; their number."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmbc import threads
from mmbc.errors import StudyError
from mmbc.files import read_json
from mmbc.training.fit import FitDivergedError
from study.records.cell_records import CHECKPOINT
from study.records.progress import Observer
from study.training import process_number as numbers
from study.training.crew import shares
from study.training.fit_share import WORK
from study.training.lockstep import execute
from study.training.preparation import workspace_of
from study.training.processes import deal, execute_apart
from study.training.worker_pool import WorkerDiedError, WorkerPool
from tests.study.training.test_lockstep import STOPPING, contents, mixed_cuts
from tests.study.training.test_resume import LONG, interrupted, results

ROOT = Path(__file__).resolve().parents[3]
SMALL_CHUNKS = ("run.chunk_size=16", "run.trunk_batch=4")
"""Several chunks an epoch, so that a worker can be ahead of another."""


@pytest.fixture(scope="module")
def workers():
    """A function that returns the pool of this module for so many workers."""
    with WorkerPool() as pool:

        def of(n):
            pool.jobs = n
            return pool

        yield of


class Told(Observer):
    """Everything that does not depend on who is quicker."""

    def __init__(self):
        self.heard, self.passed = [], []

    def begun(self, names):
        self.heard.append(("begun", tuple(names)))

    def preparing(self, what, done, total):
        self.heard += [("prepared", what, total)] if done == total else []

    def epoch_ended(self, progress):
        values = {key: value for key, value in progress.latest.items() if key != "seconds"}
        self.heard.append(("epoch", progress.name, progress.epoch, str(values)))

    def finished(self, progress):
        self.heard.append(("finished", progress.name, progress.epoch, progress.best_epoch, progress.stopped))

    def advanced(self, epoch, done, total):
        self.passed.append((epoch, done, total))


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits_and_says_the_same(tiny, workers):
    """All arms, several depths, dropout, early stops, shuffled cells, waves; features found and not found."""
    names = ("alone", "two", "four")
    planned = {name: tiny.plan(name, sets=[*STOPPING, *SMALL_CHUNKS, "data.phantom.seed=21"]) for name in names}
    cells = mixed_cuts(planned["alone"].cells)
    told = {name: Told() for name in names}
    tiny.execute(planned["two"], cells, pool=workers(2), observer=told["two"])
    tiny.execute(planned["alone"], cells, observer=told["alone"])
    shuffled = random.Random(1).sample(cells, len(cells))
    tiny.execute(planned["four"], shuffled, pool=workers(4), max_live_fits=5, observer=told["four"])
    expected = contents(planned["alone"].folder)
    assert all(contents(planned[name].folder) == expected for name in names)
    heard = [event for event in told["two"].heard if event[0] != "prepared"]
    assert heard == told["alone"].heard, "in the same order"
    assert told["two"].heard[1] == ("prepared", "features without augmentation", 128), "computed by the workers"
    assert {epoch for epoch, *_ in told["two"].passed} == {epoch for epoch, *_ in told["alone"].passed}
    assert sorted(len(event[1]) for event in told["four"].heard if event[0] == "begun") == [1, 2, 5]
    records = [read_json(planned["two"].folder / "cells" / cell.name / "record.json") for cell in cells]
    assert {record["stopped"] for record in records} == {"patience", "max_epochs"}, "some fits must stop early"
    assert [path.name for path in (planned["two"].folder.parent / ".cache" / "ring").iterdir()] == [".lock"]


@pytest.mark.slow
def test_fits_are_stopped_in_their_workers(tiny, workers):
    planned = tiny.plan("pruned-over-workers", arms="image,tabular", sets=[*LONG, *SMALL_CHUNKS])
    calls = []

    def prune(epoch, fits):
        calls.append((epoch, [fit.name for fit in fits], {fit.epoch for fit in fits}))
        assert not any(fit.validation_logits.flags.writeable for fit in fits)
        return {fit.name: "pruned" for fit in fits if fit.name.startswith("image.r0.f1") and epoch == 1}

    tiny.execute(planned, after_epoch=prune, pool=workers(2))
    stopped = {c.name: read_json(planned.folder / "cells" / c.name / "record.json")["stopped"] for c in planned.cells}
    assert stopped["image.r0.f1.s0"] == "pruned" and stopped["image.r0.f0.s0"] == "max_epochs"
    assert (1, ["image.r0.f0.s0", "image.r0.f1.s0"], {2}) in calls and (2, ["image.r0.f0.s0"], {3}) in calls


@pytest.fixture(scope="module")
def whole(tiny):
    planned = tiny.plan("whole-alone", arms="image,concat", sets=LONG)
    tiny.execute(planned)
    return results(planned)


@pytest.mark.slow
def test_a_run_is_continued_by_another_number_of_workers(tiny, workers, whole):
    """Stopped in one process, continued by two, one of which is killed, continued by the run itself."""
    planned = interrupted(tiny, "continued", at=1)
    said = []

    class Killing(Observer):
        def restored(self, name, epoch):
            said.append(epoch)

        def epoch_ended(self, progress):
            if progress.epoch == 4 and not said[4:]:
                os.kill(workers(2).take(2)[0].process.pid, signal.SIGKILL)

        def noted(self, text):
            assert text == "A worker process ended unexpectedly; its models continue from their last checkpoint."

    tiny.execute(planned, pool=workers(2), checkpoint_every=1, observer=Killing())
    assert said[:4] == [1] * 4 and len(said) == 8
    assert {3} <= set(said[4:]) <= {3, 4}, "the fits of the dead worker lost an epoch; no other was made twice"
    assert results(planned) == whole


@pytest.mark.slow
def test_a_run_that_was_stopped_with_workers_is_continued_without(tiny, workers, whole):
    planned = interrupted(tiny, "stopped-with-workers", at=3, every=2, pool=workers(2))
    assert (planned.folder / "cells" / planned.cells[0].name / CHECKPOINT).exists()
    epochs = []
    tiny.execute(planned, after_epoch=lambda epoch, fits: epochs.append(epoch))
    assert epochs == [2, 3, 4]
    assert results(planned) == whole


@pytest.mark.slow
def test_what_goes_wrong_in_a_worker_is_said_as_ever(tiny, workers):
    planned = tiny.plan("diverges", arms="image", sets=["train.head_lr=1000", "train.weight_decay=1000"])
    with pytest.raises(FitDivergedError, match=r"image.r0.f0.s0: the loss is not a number .NaN. in epoch"):
        tiny.execute(planned, pool=workers(2))
    planned = interrupted(tiny, "torn-with-workers", at=1)
    file = planned.folder / "cells" / planned.cells[0].name / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(StudyError, match=rf"{planned.cells[0].name}/{CHECKPOINT}: is damaged; delete it"):
        tiny.execute(planned, pool=workers(2))
    file.unlink()

    def die(epoch, fits):
        workers(2).take(2)[1].process.kill()

    with pytest.raises(WorkerDiedError, match=r"\(SIGKILL; the memory may have run out\).* command again.*--jobs"):
        tiny.execute(planned, pool=workers(2), after_epoch=die)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_processes_that_train_apart_as_on_gpus(tiny, workers):
    planned = {name: tiny.plan(name, arms="tabular", sets=LONG) for name in ("apart", "together")}
    told = Told()
    workspace = workspace_of(planned["apart"], tiny.request("apart"))
    assert set(execute_apart(execute, planned["apart"].cells, workspace, told, workers(2))) == set(WORK)
    tiny.execute(planned["together"])
    assert contents(planned["apart"].folder) == contents(planned["together"].folder)
    assert sorted(event[0] for event in told.heard) == ["begun"] * 2 + ["epoch"] * 10 + ["finished"] * 2


SCRIPT = """
import sys, torch, study
assert torch.get_num_threads() == 2 and float((torch.rand(999, 999) @ torch.rand(999, 999)).sum()) > 0
settings = {"run.threads": int(sys.argv[1])}
run = study.cross_validate("phantom", ["image"], preset="tiny", name="plain", jobs=2, settings=settings, progress=False)
print(len(run.predictions))
"""
"""It has no `__main__` guard, and OpenMP's threads have worked before workers are copied."""


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("n_threads", ["1", "2"], ids=["copies", "started anew"])
def test_a_script_without_a_guard_trains_with_workers(tmp_path, n_threads):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "script.py", n_threads],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and int(done.stdout) > 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_cells_are_dealt_out_evenly(tiny, n):
    cells = tiny.plan("x", sets=["protocol.repeats=2"]).cells
    for dealt in (deal(cells, n), [share for share in shares(cells, n) if share]):
        assert sorted(cell.name for share in dealt for cell in share) == sorted(cell.name for cell in cells)
        assert len(dealt) == min(n, len(cells))
        with_images = [sum(cell.config.uses_images for cell in share) for share in dealt]
        assert max(with_images) - min(with_images) <= 1


def test_as_many_processes_as_pay(tiny, monkeypatch):
    monkeypatch.setattr(numbers, "available_cores", lambda: 16)
    small, large = tiny.plan("x"), tiny.plan("x", sets=["train.max_epochs=100", "data.image_size=224"])
    images = [cell for cell in large.cells if cell.config.uses_images]
    assert numbers.process_number(0, small.cells, 48, 99) == 1, "starting one costs more than it gives"
    assert numbers.process_number(3, small.cells, 48, 99) == 3, "but it may be asked for"
    assert numbers.process_number(0, images, 5000, 99) == 2 * len(images) == 12
    assert numbers.process_number(0, images * 4, 5000, 99) == 16, "cores"
    assert numbers.process_number(0, images, 5000, 3) == 3, "memory"
    assert numbers.process_number(0, images, 12, 99) == int(numbers.expected_work(images, 12) / numbers.WORTH) == 6


def test_a_container_s_share_of_the_processors_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    assert threads.available_cores() == 64
    for text, n in (("max 100000", 64), ("250000 100000", 3), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert threads.available_cores() == n
