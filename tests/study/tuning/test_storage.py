"""Where trials are kept, who is alive, and who may ask for a trial."""

import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from mmbc.errors import ConfigError, StudyError
from study.tuning import heartbeat
from study.tuning.heartbeat import Heartbeat
from study.tuning.sampling import NumberedTPE
from study.tuning.storage import hide_password, open_storage
from study.tuning.target_study import MARK, TargetStudy
from study.tuning.targets import targets_of


@pytest.fixture(params=["sqlite", "journal"])
def storage(request, tmp_path):
    return open_storage(
        None if request.param == "sqlite" else f"journal:{tmp_path / 'journal.log'}", tmp_path / "search"
    )


@pytest.mark.parametrize("content", [b"garbage line\n", b"[]\n", b'{"op_code": 0}\n', b"\xff\xfe\x00\n", b"3\n"])
def test_a_journal_that_is_none_is_refused(content, tmp_path):
    (tmp_path / "j.log").write_bytes(content)
    with pytest.raises(StudyError, match=r"j\.log: is not a journal of Optuna"):
        open_storage(f"journal:{tmp_path / 'j.log'}", tmp_path)


@pytest.mark.parametrize(
    ("url", "kind", "text"),
    [
        ("nonsense", ConfigError, "is not an address"),
        ("oracle://host/db", ConfigError, "not supported"),
        ("journal:/no/such/folder/x.log", StudyError, "there is no folder"),
        ("postgresql://me:secret@127.0.0.1:1/none", StudyError, "cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url, kind, text, tmp_path, monkeypatch):
    monkeypatch.setattr("study.tuning.storage.ATTEMPTS", 1)
    with pytest.raises(kind, match=text) as caught:
        open_storage(url, tmp_path)
    assert "secret" not in str(caught.value)
    assert "secret" not in hide_password(url)


def test_a_driver_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'mmbc\[mysql\]'"):
        open_storage("mysql://me@host/db", tmp_path)


def one_search(searching, storage, trials=4):
    planned = searching.plan("shared-storage", arms="tabular", trials=trials)
    return TargetStudy(targets_of(planned)[0], "shared-storage", storage, planned.cohort.digest)


def test_no_budget_is_exceeded_however_many_ask(searching, storage):
    first, second = (one_search(searching, storage) for _ in range(2))
    asked = [who.ask(name) for _ in range(4) for who, name in ((first, "a"), (second, "b"))]
    taken = [trial.number for trial in asked if trial is not None]
    assert sorted(taken) == [0, 1, 2, 3]
    assert [trial.user_attrs.get(MARK) for trial in first.counted_trials()] == ["reference", None, None, None]


def test_a_lost_trial_is_made_again_once_with_the_same_values(searching, storage):
    first, second = (one_search(searching, storage) for _ in range(2))
    values = {}
    for _ in range(4):
        trial = first.ask("a")
        trial.suggest_float("model.dropout", 0.3, 0.7)
        values[trial.number] = trial.params
    lost = first.running_trials()[0]
    assert first.give_up(lost) and not second.give_up(lost), "whoever comes second is told so"
    again = second.ask("b")
    assert again.number > 3
    assert again.suggest_float("model.dropout", 0.3, 0.7) == values[0]["model.dropout"]
    assert second.ask("b") is None
    assert len(first.counted_trials()) == 4 and first.study.get_trials()[0].state == TrialState.FAIL


def test_another_search_of_the_same_name_is_refused(searching, storage):
    one_search(searching, storage)
    planned = searching.plan("shared-storage", arms="tabular", inner_folds=3)
    with pytest.raises(StudyError, match="another search of the name shared-storage/tabular/fold-0"):
        TargetStudy(targets_of(planned)[0], "shared-storage", storage, planned.cohort.digest)


def test_draws_depend_on_the_trial_alone():
    """The same trial gets the same values after a restart and in another process; two trials do not."""

    def draws(n, split):
        study = optuna.create_study(direction="maximize", sampler=NumberedTPE(0, "concat/fold-0", 20))
        found = []
        for number in range(n):
            if number == split:
                study.sampler = NumberedTPE(0, "concat/fold-0", 20)
            trial = study.ask()
            found.append((trial.suggest_float("x", 0, 1), trial.suggest_int("n", 0, 1000)))
            study.tell(trial, -((found[-1][0] - 0.3) ** 2))
        return found

    whole = draws(14, None)
    assert draws(14, 7) == draws(14, 12) == whole
    assert len(set(whole)) == 14
    assert not any(abs(x - n / 1000) < 1e-2 for x, n in whole[:4]), "parameters are not drawn alike"


def test_a_process_that_has_ended_is_dead_at_once_and_a_silent_one_after_a_while(storage, monkeypatch):
    study = optuna.create_study(storage=storage)
    anchor = storage.get_study_id_from_name(study.study_name)
    with Heartbeat(storage, anchor, beat=0.05, grace=0.3) as me:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        name = me.name.replace(f":{me.name.split(':')[1]}:", f":{child.pid}:")
        assert not me.is_dead(me.name) and not me.is_dead(name)
        child.kill()
        child.wait()
        assert me.is_dead(name), "its number is gone from this machine"
        elsewhere = "other-machine:1:abc"
        storage.set_study_system_attr(anchor, heartbeat.PREFIX + elsewhere, 1)
        now = [0.0]
        monkeypatch.setattr("study.tuning.heartbeat.time.monotonic", lambda: now[0])
        assert not me.is_dead(elsewhere)
        now[0] = 0.25
        storage.set_study_system_attr(anchor, heartbeat.PREFIX + elsewhere, 2)
        assert not me.is_dead(elsewhere), "it has moved"
        now[0] = 0.5
        assert not me.is_dead(elsewhere)
        now[0] = 0.6
        assert me.is_dead(elsewhere)
        assert not me.is_dead(None), "who died before saying a name is waited for too"
        now[0] = 1.0
        assert me.is_dead(None)
