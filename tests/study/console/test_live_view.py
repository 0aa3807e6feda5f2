"""Progress of a run as a terminal of any width shows it, and as a log file has it."""

import io
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from rich.console import Console

from study.console.live_view import View
from study.records.progress import FitProgress

NAMES = [f"{arm}.r0.f{fold}.s0" for arm in ("image", "tabular", "concat", "attention") for fold in range(4)]


@dataclass
class Cell:
    """What the view asks of a cell."""

    name: str
    config: object = field(
        default_factory=lambda: SimpleNamespace(uses_images=True, train=SimpleNamespace(max_epochs=50))
    )


def progress(name, epoch, loss=0.6, stopped="", best=1):
    latest = {"train_loss": loss, "val_loss": loss + 0.1, "val_auc": 0.7}
    return FitProgress(name, True, epoch, 50, best, stopped, latest)


def log(view):
    return view.console.file.getvalue().splitlines()


def in_a_file():
    return View(Console(file=io.StringIO(), width=80))


def on_a_terminal(width, height=24):
    return View(Console(file=io.StringIO(), width=width, height=height, force_terminal=True))


def run_epochs(view, epochs, names=NAMES, *, losses=None):
    for epoch in epochs:
        for number, name in enumerate(names):
            view.epoch_ended(progress(name, epoch, (losses or {}).get(name, 0.5 + number / 100)))


def test_a_log_has_one_line_an_epoch_for_the_whole_study(tmp_path):
    view = in_a_file()
    view.expect([Cell(name) for name in NAMES], 4, tmp_path)
    view.begun(NAMES)
    run_epochs(view, [1, 2])
    for name in NAMES[:3]:
        view.finished(progress(name, 2, stopped="patience"))
    run_epochs(view, [3], NAMES[3:])
    for name in NAMES[3:]:
        view.finished(progress(name, 3, stopped="patience"))
    first, *epochs, last = log(view)
    assert first == "training 16 models together"
    assert [line.partition(":")[0] for line in epochs] == [f"epoch {n} of at most 50" for n in (1, 2, 3)]
    assert "16 models at work, 4 of 20 models finished; mean loss 0.575 in training" in epochs[0]
    assert "0.675 in validation (0.600 to 0.750); at most " in epochs[0]
    assert "13 models at work, 7 of 20 models finished" in epochs[2]
    assert last.startswith("20 of 20 models finished, in ")


def test_processes_at_different_epochs_share_a_line(tmp_path):
    view = in_a_file()
    view.expect([Cell(name) for name in NAMES[:4]], 0, tmp_path)
    view.begun(NAMES[:2])
    view.begun(NAMES[2:4])
    run_epochs(view, [1, 2, 3], NAMES[:2])
    assert len(log(view)) == 2, "the other process has ended no epoch"
    run_epochs(view, [1], NAMES[2:4])
    assert log(view)[2].startswith("epochs 1 to 3 of at most 50: 4 models at work")


def test_a_continued_run_counts_on(tmp_path):
    view = in_a_file()
    view.expect([Cell(name) for name in NAMES[:2]], 0, tmp_path)
    view.begun(NAMES[:2])
    view.restored(NAMES[0], 5)
    view.restored(NAMES[1], 4)
    run_epochs(view, [5], NAMES[1:2])
    run_epochs(view, [6], NAMES[:2])
    assert [line.partition(" of ")[0] for line in log(view)[1:]] == ["epoch 5", "epoch 6"]


def test_models_that_train_one_by_one_have_few_lines(tmp_path):
    view = in_a_file()
    view.expect([Cell(NAMES[0])], 0, tmp_path)
    view.begun(NAMES[:1])
    run_epochs(view, range(1, 13), NAMES[:1])
    assert [line.partition(" of ")[0] for line in log(view)[1:]] == ["epoch 1", "epoch 11"]


def test_without_validation_no_number_is_made_up(tmp_path):
    view = in_a_file()
    view.expect([Cell(name) for name in NAMES[:2]], 0, tmp_path)
    view.begun(NAMES[:2])
    run_epochs(view, [1], NAMES[:2], losses=dict.fromkeys(NAMES, float("nan")))
    assert "nan" in log(view)[-1] and "validation" not in log(view)[-1]


def wave(view):
    trials = {f"concat/fold-{fold} trial {n}": [f"concat.r0.f{fold}.t{n}.i{i}" for i in (0, 1)]
              for fold in (0, 1) for n in (3, 4)}  # fmt: skip
    view.wave_begun(2, {trial: [Cell(name) for name in names] for trial, names in trials.items()}, 6, 40)
    names = [name for several in trials.values() for name in several]
    view.begun(names)
    return names


def test_a_search_says_how_far_a_wave_is():
    view = in_a_file()
    names = wave(view)
    run_epochs(view, [1], names)
    for name in names[:2]:
        view.finished(progress(name, 1, stopped="pruned"))
    view.dropped(names[2])
    view.dropped(names[3])
    run_epochs(view, [2], names[4:])
    first, second = log(view)
    assert first.startswith("wave 2, epoch 1 of at most 50: 4 trials (8 fits) at work, 6 of 40 trials finished; mean")
    assert second.startswith("wave 2, epoch 2 of at most 50: 2 trials (4 fits) at work, 8 of 40 trials finished; mean")
    assert second.endswith("left for this wave")


def drawn(view):
    """Return the lines of the view as a terminal has them."""
    with view.console.capture() as captured:
        view.console.print(view._render())
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [40, 80, 200, 300])
@pytest.mark.parametrize("searched", [False, True])
def test_the_live_view_fits_a_terminal_of_any_width(width, searched, tmp_path):
    view = View(Console(file=io.StringIO(), width=width, height=24))
    view._terminal = True
    if searched:
        names = wave(view)
    else:
        names = NAMES
        view.expect([Cell(name) for name in NAMES], 0, tmp_path)
        view.begun(names)
    run_epochs(view, [7], names)
    view.preparing("features without augmentation", 12, 4321)
    lines = drawn(view)
    assert max(map(len, lines)) <= width and len(lines) <= 23
    rows = [line for line in lines if "7/50" in line]
    assert len(rows) == (4 if searched else 16), "each row is one line"
    assert all(line.split()[-1] != "…" for line in rows)
    header = next(line for line in lines if "epoch" in line and ("model" in line or "trial and" in line))
    assert ("best epoch" in header) == (width >= 80)
    assert " ".join(lines).count("finished") == 1


def test_a_low_terminal_shows_some_rows_and_counts_the_others(tmp_path):
    view = on_a_terminal(80, height=12)
    view.expect([Cell(name) for name in NAMES], 0, tmp_path)
    view.begun(NAMES)
    run_epochs(view, [1])
    lines = drawn(view)
    assert "and 10 more" in lines[-1] and len(lines) <= 12
