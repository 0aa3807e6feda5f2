"""Curves of training for TensorBoard, MLflow or Weights & Biases (`--track`): a run for each cell, a step an epoch.

They get what the history of a cell has (losses, validation AUC, learning rates), never a test row. Nothing leaves the
machine unless the tracker's own environment variables say so. A tracker that fails is left out, and training goes on.
"""

import math
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmbc.config import flatten, to_toml
from study.design.cells import Cell
from study.design.request import Request
from study.records.progress import FitProgress, Observer, Observers

FOLDER = "tracking"
"""Folder of a study that holds what trackers keep."""


class Tracker(Observer):
    """A listener that writes down every epoch of every cell.

    Args:
        folder: its own.
        study: name of the study.
        observer: told where the curves can be seen, and of a failure.
    """

    def __init__(self, folder: Path, study: str, observer: Observer) -> None:
        self.folder, self.study, self.observer = folder, study, observer
        self.cells: dict[str, Cell] = {}
        self.open: dict[str, Any] = {}
        self.failed = False

    def expect(self, cells: Sequence[Cell], n_done: int, folder: Path) -> None:
        """Remember the cells for their settings."""
        self.cells |= {cell.name: cell for cell in cells}

    def wave_begun(self, number: int, trials: Mapping[str, Sequence[Cell]], n_done: int, n_total: int) -> None:
        """Remember the fits of trials for their settings."""
        self.cells |= {cell.name: cell for cells in trials.values() for cell in cells}

    def epoch_ended(self, progress: FitProgress) -> None:
        """Write an epoch; a cell is opened with its first."""
        if self.failed:
            return
        values = {key: value for key, value in progress.latest.items() if key != "epoch" and math.isfinite(value)}
        try:
            if progress.name not in self.open:
                self.open[progress.name] = self.begin(progress.name, progress.epoch)
            self.write(self.open[progress.name], progress.epoch, values)
        except Exception as error:  # of a tracker, a server or a disk: no reason to lose the training
            self.failed = True
            reason = " ".join(str(error).split())[:200]
            self.observer.noted(
                f"--track: nothing more is tracked ({type(error).__name__}: {reason}); training goes on"
            )

    def finished(self, progress: FitProgress) -> None:
        """Close a cell."""
        self.dropped(progress.name)

    def dropped(self, name: str) -> None:
        """Close a cell that leaves nothing."""
        if (run := self.open.pop(name, None)) is not None:
            with suppress(Exception):
                self.end(run, finished=True)

    def close(self) -> None:
        """Close what is still open when a run ends or is interrupted."""
        while self.open:
            with suppress(Exception):
                self.end(self.open.popitem()[1], finished=False)

    def settings(self, name: str) -> dict[str, Any]:
        """Return the resolved settings of a cell, by dotted keys."""
        return flatten(self.cells[name].config) if name in self.cells else {}

    def seen_with(self) -> str:
        """Return the command that shows the curves."""
        raise NotImplementedError

    def begin(self, name: str, epoch: int) -> Any:
        """Open a cell whose next epoch is this one, and return the tracker's run."""
        raise NotImplementedError

    def write(self, run: Any, epoch: int, values: Mapping[str, float]) -> None:
        """Write the values of an epoch."""
        raise NotImplementedError

    def end(self, run: Any, *, finished: bool) -> None:
        """Close a run."""


class TensorBoard(Tracker):
    """Event files, one for each cell; they are appended to, so that hundreds of cells keep none open."""

    def seen_with(self) -> str:
        """Return the command that shows the curves."""
        return shlex.join(["tensorboard", "--logdir", str(self.folder)])

    def begin(self, name: str, epoch: int) -> Path:
        """Open the event file of a cell."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.plugins.text.summary_v2 import text_pb

        file = self.folder / name / f"events.out.tfevents.0.{self.study}"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            events = [Event(file_version="brain.Event:2")]
            if name in self.cells:
                table = "\n".join(f"    {line}" for line in to_toml(self.cells[name].config).splitlines())
                events.append(Event(summary=text_pb("settings", table)))
            self._append(file, events)
        # epochs after the last checkpoint of an interrupted run are made again: the viewer drops their first version
        self._append(file, [Event(step=epoch, session_log=SessionLog(status=SessionLog.START))])
        return file

    def write(self, run: Path, epoch: int, values: Mapping[str, float]) -> None:
        """Append the values of an epoch."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._append(run, [Event(step=epoch, summary=Summary(value=scalars))])

    def _append(self, file: Path, events: Sequence[Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with file.open("ab") as opened:
            for event in events:
                event.wall_time = time.time()
                RecordWriter(opened).write(event.SerializeToString())


class MLflow(Tracker):
    """Runs of an experiment named like the study: in a file beside it, or where MLFLOW_TRACKING_URI says."""

    def __init__(self, folder: Path, study: str, observer: Observer) -> None:
        super().__init__(folder, study, observer)
        self._place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
        self._client: Any = None
        self._experiment = ""

    def seen_with(self) -> str:
        """Return the command that shows the curves."""
        return shlex.join(["mlflow", "ui", "--backend-store-uri", self._place])

    def begin(self, name: str, epoch: int) -> str:
        """Create a run with the settings of a cell."""
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        if self._client is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._client = MlflowClient(tracking_uri=self._place)
            known = self._client.get_experiment_by_name(self.study)
            self._experiment = known.experiment_id if known is not None else self._client.create_experiment(self.study)
        run = self._client.create_run(self._experiment, run_name=name).info.run_id
        parameters = [Param(key, str(value)) for key, value in self.settings(name).items()]
        self._client.log_batch(run, params=parameters)
        return str(run)

    def write(self, run: str, epoch: int, values: Mapping[str, float]) -> None:
        """Log the values of an epoch."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(run, metrics=[Metric(key, value, now, epoch) for key, value in values.items()])

    def end(self, run: str, *, finished: bool) -> None:
        """End a run."""
        self._client.set_terminated(run, "FINISHED" if finished else "KILLED")


class WandB(Tracker):
    """Runs of the project `mmbc`, grouped by study: kept beside the study, unless WANDB_MODE says `online`."""

    def seen_with(self) -> str:
        """Return the command that shows the curves."""
        return f"{shlex.join(['wandb', 'sync', str(self.folder / 'wandb')])}/offline-run-*"

    def begin(self, name: str, epoch: int) -> Any:
        """Begin a run with the settings of a cell."""
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project="mmbc",
            group=self.study,
            name=name,
            dir=str(self.folder),
            config=self.settings(name),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
        )

    def write(self, run: Any, epoch: int, values: Mapping[str, float]) -> None:
        """Log the values of an epoch."""
        run.log(dict(values), step=epoch)

    def end(self, run: Any, *, finished: bool) -> None:
        """End a run."""
        run.finish(exit_code=0 if finished else 1)


KINDS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
"""What `--track` names; `study.design.request.TRACKERS` has the same names."""


@contextmanager
def tracked(observer: Observer, request: Request, folder: Path, study: str) -> Iterator[Observer]:
    """Yield an observer that also writes curves where a tracker is asked for.

    Args:
        observer: told about the work in any case.
        request: names the tracker.
        folder: of the study; what a tracker keeps lies in its `tracking`.
        study: its name.
    """
    if not request.track:
        yield observer
        return
    tracker = KINDS[request.track](folder / FOLDER / request.track, study, observer)
    observer.noted(f"Curves of training: {tracker.seen_with()}")
    try:
        yield Observers(observer, tracker)
    finally:
        tracker.close()
