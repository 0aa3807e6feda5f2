"""What the dashboard shows of a search: in every state that a search can be in, once, and over its own pages."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import optuna_dashboard
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from mmbc.errors import StudyError
from study.tuning import dashboard, dashboard_figures
from study.tuning.dashboard import attach_roc, describe, draw_figures, serve, server
from study.tuning.dashboard_notes import note
from study.tuning.importance import importances

ROOT = Path(__file__).resolve().parents[3]
METRIC = "Mean validation AUC"
SPACE = {
    "train.lr": FloatDistribution(1e-5, 1e-2, log=True),
    "model.dropout": FloatDistribution(0, 0.6, step=0.1),
    "model.fine_tuned_blocks": IntDistribution(0, 4),
    "model.hidden": CategoricalDistribution(["[64]", "[256, 64]", None]),
}
TEXT = {
    "arm": "concat",
    "question": "Together?",
    "searched_on": "200 patients in 3 inner folds",
    "held_out": "100 patients of fold 1",
    "space": {"train.lr": "1e-5 to 1e-2 | log"},
    "rules": ["20 trials."],
}


@pytest.fixture
def study():
    return optuna.create_study(study_name="demo/concat/fold-0", direction="maximize")


@pytest.fixture
def storage(tmp_path):
    found = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'trials.db'}")
    yield found
    found.remove_session()
    found.engine.dispose()


def trial(
    number, value=0.7, state=TrialState.COMPLETE, *, curve=(0.5, 0.6), scores=(0.6, 0.8), space=SPACE, params=None
):
    """A finished trial as a search leaves it; its parameters follow from its number unless given."""
    chosen = {
        "train.lr": 10 ** (-5 + number % 4),
        "model.dropout": 0.1 * (number % 6),
        "model.fine_tuned_blocks": number % 5,
        "model.hidden": ["[64]", "[256, 64]", None][number % 3],
    }
    params = params or {key: chosen[key] for key in space}
    return create_trial(
        state=state,
        value=value if state != TrialState.FAIL else None,
        params=params,
        distributions=dict(space),
        user_attrs={"fold_scores": list(scores)} if scores is not None else {},
        intermediate_values=dict(enumerate(curve)),
    )


def many(n=12):
    return [
        trial(i, 0.6 + 0.01 * i, TrialState.PRUNED if i % 3 == 2 else TrialState.COMPLETE, scores=(0.6, 0.6 + 0.02 * i))
        for i in range(n)
    ]


def figures(study):
    """The figures that the dashboard would show, by name."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    names = {key.split(":")[2] for key in attrs if key.startswith("dashboard:plot_data:")}
    texts = {name: [attrs.get(f"dashboard:plot_data:{name}:{i}", "") for i in range(len(attrs))] for name in names}
    return {name: json.loads("".join(parts)) for name, parts in texts.items()}


# the note


def test_the_note_says_what_is_searched_on_whom_and_by_which_rules():
    text = note(**TEXT, optimistic=False)
    for part in (
        "# concat",
        "*Together?*",
        "200 patients",
        "100 patients of fold 1",
        "| `train.lr` | 1e-5 to 1e-2 \\| log |",
    ):
        assert part in text
    assert "- 20 trials." in text and "Optimistic" not in text


def test_a_flat_search_is_called_optimistic_and_a_whole_one_holds_out_nobody():
    assert "> **⚠ Optimistic.**" in note(**TEXT, optimistic=True)
    assert "**Held out:** nobody." in note(**{**TEXT, "held_out": ""}, optimistic=False)


def test_describing_again_writes_nothing_and_keeps_what_a_person_added(study):
    text = note(**TEXT, optimistic=False)
    for _ in range(3):
        describe(study, text, METRIC)
    attrs = study._storage.get_study_system_attrs(study._study_id)
    assert (study.metric_names, attrs["dashboard:note_ver"]) == ([METRIC], 1)
    optuna_dashboard.save_note(study, f"{text}\nAsk Ada about fold 2.")
    describe(study, text, METRIC)
    assert optuna_dashboard.get_note(study).endswith("Ask Ada about fold 2.")
    describe(study, text.replace("20 trials", "30 trials"), METRIC)
    assert "30 trials" in optuna_dashboard.get_note(study)


def test_several_processes_describe_and_draw_at_once(storage, tmp_path):
    study = optuna.create_study(storage=storage, study_name="demo/concat/fold-0", direction="maximize")
    study.add_trials(many())
    text = note(**{**TEXT, "rules": ["A rule that is long. " * 200]}, optimistic=False)

    def worker(_):
        mine = optuna.load_study(storage=storage, study_name=study.study_name)
        describe(mine, text, METRIC)
        draw_figures(mine)
        attach_roc(mine, mine.best_trial, b"png", tmp_path / "artifacts")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))
    assert optuna_dashboard.get_note(study) == text
    assert set(figures(study)) == set(dashboard_figures.ORDER)
    assert len(get_all_artifact_meta(study)) == 1


# figures

ODD = {
    "none": ([], set()),
    "one": ([trial(0)], {"history", "fold-scores", "learning-curves"}),
    "all pruned": (
        [trial(i, 0.5, TrialState.PRUNED) for i in range(3)],
        {"history", "fold-scores", "learning-curves", "slices"},
    ),
    "pruned before its first epoch": ([trial(0, None, TrialState.PRUNED, curve=(), scores=None)], {"history"}),
    "all failed": ([trial(i, state=TrialState.FAIL, curve=(), scores=None) for i in range(2)], {"history"}),
    "diverged": (
        [trial(0, state=TrialState.FAIL, curve=(0.5, float("nan")), scores=(float("nan"), 0.5))],
        {"history", "learning-curves"},
    ),
    "constant values": ([trial(i, 0.7) for i in range(4)], {"history", "fold-scores", "learning-curves", "slices"}),
    "nothing varies": ([trial(0, 0.1 * i) for i in range(1, 4)], {"history", "fold-scores", "learning-curves"}),
    "two": ([trial(i, 0.6 + 0.1 * i) for i in range(2)], set(dashboard_figures.ORDER)),
    "hardly different": (
        [trial(i, 1e-200 * i) for i in range(2)],
        {"history", "fold-scores", "learning-curves", "slices"},
    ),
    "one key alone": (
        [trial(i, 0.6 + 0.1 * i, space={"train.lr": SPACE["train.lr"]}) for i in range(3)],
        set(dashboard_figures.ORDER),
    ),
    "no keys": ([trial(i, 0.6 + 0.1 * i, space={}) for i in range(3)], {"history", "fold-scores", "learning-curves"}),
    "no key in common": (
        [trial(i, 0.6 + 0.1 * i, space={key: SPACE[key]}) for i, key in enumerate(SPACE)],
        {"history", "fold-scores", "learning-curves"},
    ),
    "unequal folds": (
        [trial(i, 0.6 + 0.1 * i, scores=[0.5] * (i + 1)) for i in range(3)],
        set(dashboard_figures.ORDER),
    ),
    "another space later": (
        [
            trial(0, 0.6),
            trial(1, 0.7, space={**SPACE, "train.lr": FloatDistribution(1e-6, 1, log=True)}),
            trial(2, 0.8),
        ],
        set(dashboard_figures.ORDER),
    ),
    "another space for the only key": (
        [trial(i, 0.6 + 0.1 * i, space={"train.lr": FloatDistribution(1e-5, 1 + i)}) for i in range(2)],
        {"history", "fold-scores", "learning-curves", "slices"},
    ),
    "many": (many(), set(dashboard_figures.ORDER)),
}


@pytest.mark.parametrize("case", ODD)
def test_what_can_be_drawn_is_drawn_in_every_state(case, study):
    trials, expected = ODD[case]
    study.add_trials(trials)
    study.ask()  # runs: does not count
    draw_figures(study)
    found = figures(study)
    assert set(found) == expected
    assert all("<b>" in figure["layout"]["title"]["text"] for figure in found.values())
    assert "NaN" not in json.dumps(found)


def test_figures_are_overwritten_and_only_when_trials_have_finished(study, monkeypatch):
    saved, save = [], optuna_dashboard.save_plotly_graph_object
    monkeypatch.setattr(
        optuna_dashboard,
        "save_plotly_graph_object",
        lambda *args, graph_object_id: saved.append(graph_object_id) or save(*args, graph_object_id=graph_object_id),
    )
    study.add_trials(many())
    draw_figures(study)
    draw_figures(study)
    assert saved == list(dashboard_figures.ORDER)
    study.add_trial(trial(12, 0.9))
    draw_figures(study)
    assert saved == [*dashboard_figures.ORDER, *dashboard_figures.ORDER]
    assert list(figures(study)["history"]["data"][-1]["x"]) == [12]


def test_the_history_by_hand(study):
    describe(study, "note", METRIC)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    study.add_trials(
        [
            trial(i, value, state)
            for i, (value, state) in enumerate(zip([0.6, 0.9, None, 0.5, 0.7], states, strict=True))
        ]
    )
    draw_figures(study)
    found = figures(study)["history"]
    lines = {trace["name"]: list(zip(trace["x"], trace["y"], strict=True)) for trace in found["data"]}
    assert lines == {
        "best so far": [(0, 0.6), (3, 0.6), (4, 0.7), (4, 0.7)],
        "pruned, at its last epoch": [(1, 0.9)],
        "complete": [(0, 0.6), (3, 0.5), (4, 0.7)],
        "best (trial 4)": [(4, 0.7)],
    }
    assert "5 trials: 3 complete, 1 pruned, 1 failed" in found["layout"]["title"]["text"]
    assert found["layout"]["yaxis"]["title"]["text"] == METRIC


def test_slices_place_choices_by_their_number_and_values_outside_the_space_on_the_page(study):
    study.add_trials([trial(0, 0.6), trial(1, 0.7), trial(2, 0.8)])
    trials = study.trials
    trials[1].params["model.fine_tuned_blocks"] = 7  # as a reference configuration may be
    layout = dashboard_figures.slices(trials, METRIC).to_plotly_json()["layout"]
    axes = {axis["title"]["text"]: axis for name, axis in layout.items() if name.startswith("xaxis")}
    assert axes["model.hidden"]["ticktext"] == ["[64]", "[256, 64]", "none"]
    assert axes["model.fine_tuned_blocks"]["range"][1] > 7
    assert axes["train.lr"]["type"] == "log" and axes["train.lr"]["range"][0] < -5


# importances


def test_importances_find_what_matters_and_are_the_same_twice(study):
    def objective(one):
        found = {key: one._suggest(key, distribution) for key, distribution in SPACE.items()}
        return 0.7 + 0.1 * found["model.dropout"] + 0.001 * found["model.fine_tuned_blocks"]

    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(objective, n_trials=30)
    first = importances(study)
    assert first == importances(study)
    assert next(iter(first)) == "model.dropout" and first["model.dropout"] > 0.8
    assert sum(first.values()) == pytest.approx(1)
    assert list(first) == sorted(first, key=first.get, reverse=True)
    study.add_trial(trial(1, 0.1, TrialState.PRUNED))
    assert importances(study) == first


@pytest.mark.parametrize(
    "case", ["none", "one", "all pruned", "all failed", "constant values", "nothing varies", "no keys"]
)
def test_there_is_no_importance_where_nothing_can_be_explained(case, study):
    study.add_trials(ODD[case][0])
    assert importances(study) == {}


# the ROC curves of a trial


def test_roc_curves_are_kept_once_for_each_trial_and_shown_in_its_note(storage, tmp_path):
    study = optuna.create_study(storage=storage, study_name="demo/concat/fold-0", direction="maximize")
    study.add_trials(many(3))
    store = tmp_path / "artifacts"
    for _ in range(2):
        for one, png in zip(study.trials[:2], (b"first", b"second"), strict=True):
            attach_roc(study, one, png, store)
    metas = {meta.filename: meta for meta in get_all_artifact_meta(study)}
    assert {name: (store / meta.artifact_id).read_bytes() for name, meta in metas.items()} == {
        "roc-trial-0.png": b"first",
        "roc-trial-1.png": b"second",
    }
    attrs = storage.get_study_system_attrs(study._study_id)
    trial_id = study.trials[1]._trial_id
    assert attrs[f"dashboard:{trial_id}:note_ver"] == 1
    path = f"/artifacts/{study._study_id}/{metas['roc-trial-1.png'].artifact_id}"
    assert f"]({path})" in attrs[f"dashboard:{trial_id}:note_str:0"]


def test_an_artefact_deleted_by_hand_stays_deleted(study, tmp_path):
    study.add_trials(many(3))
    attach_roc(study, study.trials[0], b"png", tmp_path)
    (meta,) = get_all_artifact_meta(study)
    study._storage.set_study_system_attr(study._study_id, f"artifacts:{meta.artifact_id}", json.dumps(None))
    attach_roc(study, study.trials[0], b"png", tmp_path)
    attach_roc(study, study.trials[1], b"png", tmp_path)
    files = [file for file in tmp_path.iterdir() if file.name != ".lock"]
    assert len(files) == 2


# the server


@pytest.fixture
def running(storage, tmp_path):
    """The dashboard's address on two studies, the first with note, figures and an artefact."""
    for fold in (0, 1):
        study = optuna.create_study(storage=storage, study_name=f"demo/concat/fold-{fold}", direction="maximize")
        describe(study, note(**TEXT, optimistic=False), METRIC)
        study.add_trials(many())
    first = optuna.load_study(storage=storage, study_name="demo/concat/fold-0")
    draw_figures(first)
    attach_roc(first, first.best_trial, b"\x89PNG roc", tmp_path / "artifacts")
    with server(storage, tmp_path / "artifacts", port=0) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield dashboard.address(found).removesuffix("/dashboard")
        found.shutdown()
        thread.join()


def fetched(address, path, method="GET", body=None):
    request = urllib.request.Request(address + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def test_the_pages_hold_notes_figures_and_artefacts(running, capfd):
    studies = json.loads(fetched(running, "/api/studies"))["study_summaries"]
    assert [one["study_name"] for one in studies] == ["demo/concat/fold-0", "demo/concat/fold-1"]
    detail = json.loads(fetched(running, f"/api/studies/{studies[0]['study_id']}"))
    assert detail["note"]["body"] == note(**TEXT, optimistic=False)
    assert detail["objective_names"] == [METRIC]
    assert [one["id"] for one in detail["plotly_graph_objects"]] == list(dashboard_figures.ORDER)
    assert all(json.loads(one["graph_object"])["data"] for one in detail["plotly_graph_objects"])
    (artefact,), (best,) = detail["artifacts"], detail["best_trials"]
    assert (artefact["filename"], artefact["mimetype"]) == ("roc-trial-10.png", "image/png")
    shown = best["note"]["body"].split("](")[1].split(")")[0]
    assert artefact["artifact_id"] in shown
    assert fetched(running, shown) == b"\x89PNG roc"
    assert b"<html" in fetched(running, "/dashboard")
    assert capfd.readouterr() == ("", "")


def test_notes_can_be_written_but_no_study_changed(running, storage):
    for method, path in (("DELETE", "/api/studies/1"), ("POST", "/api/studies/1/rename"), ("POST", "/api/studies")):
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            fetched(running, path, method, {"study_name": "x", "directions": ["maximize"]})
        assert b"changes no study" in refused.value.read()
        refused.value.close()
    fetched(running, "/api/studies/1/note", "PUT", {"version": 2, "body": "mine"})
    names = optuna.get_all_study_names(storage)
    assert names == ["demo/concat/fold-0", "demo/concat/fold-1"]
    assert optuna_dashboard.get_note(optuna.load_study(storage=storage, study_name=names[0])) == "mine"


def test_a_taken_port_gives_way_to_the_next_free_one(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with server(optuna.storages.InMemoryStorage(), tmp_path, port=port) as found:
            assert found.server_port > port


def test_an_address_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StudyError, match="choose another"):
        serve(optuna.storages.InMemoryStorage(), tmp_path, host="192.0.2.1")


def test_ctrl_c_ends_it_quietly(storage, tmp_path):
    code = (
        "import signal, sys; from pathlib import Path; from study.tuning.dashboard import serve\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        "serve(sys.argv[1], Path('.'), port=0, announce=lambda at: print(at, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(storage.engine.url)],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    address = process.stdout.readline().strip().removesuffix("/dashboard")
    assert json.loads(fetched(address, "/api/studies")) == {"study_summaries": []}
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0
