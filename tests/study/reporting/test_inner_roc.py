"""The ROC curves of a trial's inner folds: the legend has the trial's own numbers."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from study.reporting.figures import inner_roc as module
from study.reporting.figures.inner_roc import inner_roc
from study.reporting.figures.style import DPI, MM


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 120)
    return pd.DataFrame({"fold": np.repeat([0, 1, 2], 40), "label": label, "logit": rng.normal(size=120) + label})


def legend(scores, monkeypatch):
    """The legend's lines, and the figure's bytes."""
    figures, png = [], module.png
    monkeypatch.setattr(module, "png", lambda figure, notice: figures.append(figure) or png(figure, notice))
    inner_roc(scores, "concat, fold 0: trial 7", "")
    return [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]


def test_the_legend_has_each_fold_s_auc_and_their_mean(scores, monkeypatch):
    areas = [roc_auc_score(part["label"], part["logit"]) for _, part in scores.groupby("fold")]
    expected = [f"fold {fold}: {area:.3f}" for fold, area in enumerate(areas, start=1)] + [
        f"mean: {np.mean(areas):.3f}"
    ]
    assert legend(scores, monkeypatch) == expected


def test_a_fold_with_one_class_has_no_curve_and_is_named(scores, monkeypatch):
    scores.loc[scores["fold"] == 1, "label"] = 0
    found = legend(scores, monkeypatch)
    assert found[1] == "fold 2: one class alone" and len(found) == 4


def test_a_single_fold_has_no_mean(scores, monkeypatch):
    assert len(legend(scores[scores["fold"] == 0], monkeypatch)) == 1


@pytest.mark.parametrize("notice", ["", "made-up data"])
def test_it_is_one_column_wide_and_the_same_twice(scores, notice):
    first = inner_roc(scores, "concat, fold 0: trial 7", notice)
    assert first == inner_roc(scores, "concat, fold 0: trial 7", notice)
    assert Image.open(io.BytesIO(first)).size[0] == pytest.approx(89 * MM * DPI, abs=1)
