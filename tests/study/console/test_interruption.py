"""What a run says that is interrupted: what is kept, and the command that continues."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from study.console.interruption import continuing, interrupted, models_kept, search_interrupted
from study.records.cell_records import kept_epochs, write_checkpoint

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def view(tmp_path):
    """A study of 4 models, of which 1 was finished before."""
    cells = [SimpleNamespace(name=name) for name in "abc"]
    return SimpleNamespace(folder=tmp_path, expected=cells, n_cells=4)


def finish(view, *names):
    for name in names:
        place = view.folder / "cells" / name
        place.mkdir(parents=True)
        (place / "record.json").write_text("{}")


def keep(view, name, epoch):
    write_checkpoint(view.folder / "cells" / name, {"name": name}, b"state", epoch=epoch)


def test_epochs_are_said_as_they_lie_on_disk(view):
    assert models_kept(view) == "1 of 4 models is finished and kept; the others begin with epoch 1."
    keep(view, "a", 3)
    text = "1 of 4 models is finished and kept; 1 of the others continues from epoch 4, and 2 begin with epoch 1."
    assert models_kept(view) == text
    keep(view, "b", 3)
    finish(view, "c")
    assert models_kept(view) == "2 of 4 models are finished and kept; the others continue from epoch 4."
    keep(view, "b", 5)
    assert models_kept(view).endswith("the others continue from epoch 4 to 6.")
    for name in "ab":
        (view.folder / "cells" / name / "record.json").write_text("{}")
    assert models_kept(view) == "4 of 4 models are finished and kept; the report is still to be written."


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b'{"sha256": "x"}\nstate', b"\xff\xfe\n"])
def test_a_checkpoint_that_cannot_be_read_counts_for_nothing(tmp_path, content):
    (tmp_path / "checkpoint.bin").write_bytes(content)
    assert kept_epochs(tmp_path) == 0


def test_the_command_can_be_pasted_and_starts_nothing_over(view):
    words = ["--data", "my cohort/list.csv", "--force", "--set", "train.lr=1e-4"]
    line = interrupted(view, "study.cv", words).splitlines()[-1]
    typed = shlex.split(line.removeprefix("To continue: "))
    assert typed == ["python", "-m", "study.cv", "--data", "my cohort/list.csv", "--set", "train.lr=1e-4"]
    view.folder = None
    assert "--force" in interrupted(view, "study.cv", words), "nothing was begun: the old study is still there"
    assert "write your password" in continuing("study.search", ["--storage", "mysql://me:***@host/db"], begun=True)


def test_a_search_counts_trials_or_winners(view, tmp_path):
    assert search_interrupted(view, None, "study.search", []).startswith("Interrupted before the search")
    (tmp_path / "study.toml").write_text("")
    planned = SimpleNamespace(folder=tmp_path)
    text = search_interrupted(view, planned, "study.search", ["--trials", "9"])
    assert "Every trial is finished and kept. Of the winners, 1 of 4 models is finished" in text
    assert text.endswith("To continue: python -m study.search --trials 9")


def start(folder, module, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}
    code = (
        "import runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "--data", "phantom", "--preset", "tiny", "--name", "a study", *words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


LONG = ["--set", "train.max_epochs=5000", "--set", "train.patience=5000"]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "words", "sent", "text"),
    [
        ("study.cv", ["--checkpoint-every", "1"], signal.SIGTERM, "continue from epoch"),
        ("study.cv", ["--checkpoint-every", "1", "--jobs", "2", "--force"], signal.SIGINT, "continue from epoch"),
        ("study.ledger", ["--ablation", "tabular", "--checkpoint-every", "1"], signal.SIGINT, "continue from epoch"),
        ("study.search", ["--ablation", "tabular", "--trials", "2"], signal.SIGTERM, "0 of 6 trials are finished"),
    ],
)
def test_a_signal_ends_a_run_with_what_is_kept(tmp_path, module, words, sent, text):
    printed = []
    with start(tmp_path, module, *words, *LONG) as process:
        for line in process.stdout:
            printed.append(line)
            epoch = re.search(r"epochs? (\d+).* of at most 5000: ", line)
            if epoch and int(epoch[1]) >= 2:
                os.killpg(process.pid, sent)  # to the whole group, as a terminal and a batch system do
                break
        rest = process.communicate(timeout=60)[0]
    said = " ".join(rest.split())
    assert process.returncode == 130, "".join(printed) + rest
    assert "Interrupted. 0 of" in said and text in said and "Traceback" not in rest, rest
    command = shlex.split(rest.splitlines()[-1].removeprefix("To continue: "))
    assert command[:3] == ["python", "-m", module] and "a study" in command and "--force" not in command
