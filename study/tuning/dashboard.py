"""Optuna's dashboard of a search: the note of each study, figures, the ROC curves of a winner, and the server.

Everything here may be called by several processes at once and again at every start: what is there already is left
alone.
"""

import errno
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard
from filelock import FileLock
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna_dashboard.artifact import get_artifact_path

from mmbc.errors import StudyError
from study.tuning.dashboard_figures import ORDER, search_figures
from study.tuning.importance import importances

IN_FIGURES = "finished trials in the figures"
"""The attribute of a study that says which state its figures show."""
PORTS = 100
"""Number of ports that are tried, from the wished one on."""


def describe(study: optuna.Study, note: str, metric: str) -> None:
    """Name a study's value and write its note, unless both are there; what a person wrote beside the note stays.

    Args:
        study: of one arm and fold.
        note: Markdown, see `study.tuning.dashboard_notes`.
        metric: what the value is, as a label.
    """
    if study.metric_names != [metric]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*set_metric_names", category=ExperimentalWarning)
            study.set_metric_names([metric])
    if note not in optuna_dashboard.get_note(study):
        optuna_dashboard.save_note(study, note)


def draw_figures(study: optuna.Study) -> None:
    """Draw a study's figures anew, in place of the last ones, if trials have finished since.

    Nothing is drawn of what there is too little of: no finished trial, no value, nothing that varies. Two processes
    that draw the same trials write the same text; where one is behind and tears a figure, the page leaves it out until
    the next is drawn.
    """
    trials = study.get_trials(deepcopy=False)
    n_finished = sum(trial.state.is_finished() for trial in trials)
    if not n_finished or study.user_attrs.get(IN_FIGURES) == n_finished:
        return
    metric = (study.metric_names or ["Value"])[0]
    for name, figure in search_figures(trials, metric, importances(study)).items():
        optuna_dashboard.save_plotly_graph_object(study, figure, graph_object_id=name)
    study.set_user_attr(IN_FIGURES, n_finished)


ROC = "![ROC curves by fold]"
"""The beginning of the link in a trial's note."""


@dataclass(frozen=True)
class _NoteHolder:
    """A trial as the dashboard needs it for a note; a finished one from Optuna does not know its study."""

    study: optuna.Study
    storage: BaseStorage
    _trial_id: int


def attach_roc(study: optuna.Study, trial: FrozenTrial, png: bytes, artifacts: Path) -> None:
    """Keep the ROC curves of a trial's folds as an artefact and show them in its note; once for each trial.

    Optuna takes artefacts of running trials and of studies alone. The file is therefore the study's, under a name with
    the trial's number, and the trial's note shows it, below what a person may have written there. Deleted by hand, it
    stays away.

    Args:
        study: of the trial.
        trial: finished, usually the winner.
        png: the figure.
        artifacts: folder of the artefact store; made if it is not there.
    """
    artifacts.mkdir(parents=True, exist_ok=True)
    noted: Any = _NoteHolder(study, study._storage, trial._trial_id)
    with FileLock(artifacts / ".lock"), tempfile.TemporaryDirectory() as folder:
        there = optuna_dashboard.get_note(noted)
        if ROC in there:
            return
        file = Path(folder) / f"roc-trial-{trial.number}.png"
        file.write_bytes(png)
        store = FileSystemArtifactStore(artifacts)
        uploaded = upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=study)
        text = f"{ROC}({get_artifact_path(study, uploaded)})"
        optuna_dashboard.save_note(noted, "\n\n".join(part for part in (there, text) if part))


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread of its own: a figure that takes long holds up nothing."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of a request."""


def _in_order(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Let a page of the dashboard give the figures in their order; its own is another one at every start."""

    def ordered(*args: Any, **kwargs: Any) -> Any:
        body = answer(*args, **kwargs)
        if isinstance(body, dict) and "plotly_graph_objects" in body:
            place = {name: number for number, name in enumerate(ORDER)}
            body["plotly_graph_objects"].sort(key=lambda one: (place.get(one["id"], len(place)), one["id"]))
        return body

    return ordered


def _read_only(pages: Callable[..., Any]) -> Callable[..., Any]:
    """Let the dashboard show everything and write notes, but not rename or delete a study: searches go on from it."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "PUT"):
            return pages(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "This dashboard shows a search and keeps notes; it changes no study."}']

    return answer


def server(storage: str | BaseStorage, artifacts: Path, *, host: str = "127.0.0.1", port: int = 8080) -> WSGIServer:
    """Return the dashboard's server, listening but not yet answering; if the port is taken, at the next free one.

    Args:
        storage: Optuna's, or its URL.
        artifacts: folder of the artefact store.
        host: to listen at. Whoever reaches it can read every study: keep to the loopback address on a shared machine.
        port: the first to try; 0 for any.

    Raises:
        StudyError: no port can be had.
    """
    pages = optuna_dashboard.wsgi(storage, artifact_store=FileSystemArtifactStore(artifacts))
    pages.install(_in_order)
    app = _read_only(pages)
    for tried in range(port, min(port + PORTS, 65536) if port else 1):
        try:
            return make_server(host, tried, app, server_class=_Server, handler_class=_Silent)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StudyError(
                    f"the dashboard cannot be opened at {host}:{tried} ({error.strerror}); choose another --port"
                ) from None
    raise StudyError(f"{host}: all ports from {port} on are in use; choose another --port")


def serve(
    storage: str | BaseStorage,
    artifacts: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Show the dashboard until Ctrl-C; arguments and errors are those of `server`.

    `announce` is called with the address before the first request is answered.
    """
    with server(storage, artifacts, host=host, port=port) as running:
        try:
            if announce is not None:
                announce(address(running))
            running.serve_forever()
        except KeyboardInterrupt:
            return


def address(running: WSGIServer) -> str:
    """Return where a server is found."""
    host, port = running.socket.getsockname()
    return f"http://{host}:{port}/dashboard"
