"""What Optuna's dashboard shows of a search: the note of each study, figures, the ROC curves of a winner, and the server.

Everything here may be called by several processes at once and again at every start: what is there already is left
alone.
"""

import errno
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
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
from study.tuning.dashboard_figures import ORDER, drawn
from study.tuning.importance import importances

IN_FIGURES = "finished trials in the figures"
"""The attribute of a study that says which state its figures show."""
PORTS = 100
"""How many ports after the wished one are tried."""


def describe(study: optuna.Study, note: str, metric: str) -> None:
    """Name a study's value and write its note, unless both are there; what a person wrote before or after the note stays.

    Args:
        study: of one arm and fold.
        note: Markdown, see `note`.
        metric: what the value is, as a label.
    """
    if study.metric_names != [metric]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*set_metric_names", category=ExperimentalWarning)
            study.set_metric_names([metric])
    if note not in optuna_dashboard.get_note(study):
        optuna_dashboard.save_note(study, note)


def note(
    *,
    arm: str,
    question: str,
    searched_on: str,
    held_out: str,
    space: Mapping[str, str],
    rules: Sequence[str],
    optimistic: bool,
) -> str:
    """Return the note of a study in Markdown: what is searched, on whom, where and by which rules.

    Args:
        arm: whose settings are searched.
        question: that the arm answers.
        searched_on: the patients that trials are fitted and compared on, in words.
        held_out: the patients whom no trial sees, in words; '' where there are none.
        space: key -> what is tried, in words.
        rules: budget, sampler, pruner and selection, a sentence each.
        optimistic: whether patients who later test the winner took part in choosing it.
    """
    lines = [f"# {arm}", "", f"*{question}*", ""]
    if optimistic:
        lines += [OPTIMISTIC, ""]
    lines += [f"- **Searched on:** {searched_on}", f"- **Held out:** {held_out or NOBODY}", "", "## Search space", ""]
    lines += ["| Key | Tried |", "|---|---|", *(f"| `{key}` | {_in_cell(tried)} |" for key, tried in space.items()), ""]
    lines += ["## Rules", "", *(f"- {rule}" for rule in rules), "", "## How to read these pages", "", READING, ""]
    return "\n".join(lines)


OPTIMISTIC = (
    "> **⚠ Optimistic.** The settings are chosen on patients who test the chosen models in other folds. The study's"
    " estimates of performance are therefore too high, by an amount that nobody knows; a nested search does not have"
    " this fault."
)
NOBODY = (
    "nobody. This search finds settings for new data; it does not say how well they perform, for which patients are"
    " needed that took no part in it."
)
READING = """\
- The **value** of a trial is the mean, over the folds of the search, of the ROC-AUC on each fold's validation part.
- The best value is the greatest of many and therefore **too high as an estimate of performance**; test parts estimate it.
- A **pruned** trial was given up early and shows the mean at its last epoch; a **failed** one has no value.
- The ROC curves of the winner are in the note of its trial, once the search has ended. Where the rules prefer the cheapest
  trial within a standard error, the winner need not be the one that the pages call the best.
- The dashboard's card "Hyperparameter Importance" says what sets the best tenth of the trials apart (PED-ANOVA), the figure
  "Importance of the hyper-parameters" what their values vary with (fANOVA): two questions. With few trials neither is certain.
- Parameters are named by their keys in the study's settings; see `study.toml`."""


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")


def decorate(study: optuna.Study) -> None:
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
    for name, figure in drawn(trials, metric, importances(study)).items():
        optuna_dashboard.save_plotly_graph_object(study, figure, graph_object_id=name)
    study.set_user_attr(IN_FIGURES, n_finished)


ROC = "![ROC curves by fold]"
"""The beginning of the link in a trial's note."""


@dataclass(frozen=True)
class _Noted:
    """What the dashboard asks of a trial to write its note; a finished one from Optuna does not know its study."""

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
    noted: Any = _Noted(study, study._storage, trial._trial_id)
    with FileLock(artifacts / ".lock"), tempfile.TemporaryDirectory() as folder:
        there = optuna_dashboard.get_note(noted)
        if ROC in there:
            return
        file = Path(folder) / f"roc-trial-{trial.number}.png"
        file.write_bytes(png)
        store = FileSystemArtifactStore(artifacts)
        found = upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=study)
        text = f"{ROC}({get_artifact_path(study, found)})"
        optuna_dashboard.save_note(noted, "\n\n".join(part for part in (there, text) if part))


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread of its own: a figure that takes long holds up nothing."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of a request."""


def _ordered(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Let a page of the dashboard give the figures in their order; it has them in another one at every start."""

    def ordered(*args: Any, **kwargs: Any) -> Any:
        body = answer(*args, **kwargs)
        if isinstance(body, dict) and "plotly_graph_objects" in body:
            place = {name: number for number, name in enumerate(ORDER)}
            body["plotly_graph_objects"].sort(key=lambda one: (place.get(one["id"], len(place)), one["id"]))
        return body

    return ordered


def _kept(pages: Callable[..., Any]) -> Callable[..., Any]:
    """Let the dashboard show everything and write notes, but not rename or delete a study: the search goes on from it."""

    def kept(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "PUT"):
            return pages(environ, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "This dashboard shows a search and keeps notes; it changes no study."}']

    return kept


def server(storage: str | BaseStorage, artifacts: Path, *, host: str = "127.0.0.1", port: int = 8080) -> WSGIServer:
    """Return the dashboard's server, listening but not yet answering; at the next free port where the wished one is taken.

    Args:
        storage: Optuna's, or its URL.
        artifacts: folder of the artefact store.
        host: to listen at. Whoever reaches it can read every study: keep to the loopback address on a shared machine.
        port: the first to try; 0 for any.

    Raises:
        StudyError: no port can be had.
    """
    pages = optuna_dashboard.wsgi(storage, artifact_store=FileSystemArtifactStore(artifacts))
    pages.install(_ordered)
    app = _kept(pages)
    for tried in range(port, min(port + PORTS, 65536) if port else 1):
        try:
            return make_server(host, tried, app, server_class=_Server, handler_class=_Silent)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StudyError(
                    f"{host}:{tried}: cannot be listened at ({error.strerror}); choose another --port"
                ) from None
    raise StudyError(f"{host}: the ports from {port} on are all taken; choose another --port")


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
