"""The figure: bars that stand on each other, whatever their sign, and text that is neither clipped nor overlapping."""

import itertools

import numpy as np
import pandas as pd
import pytest

from study.leaks.protocols import HONEST, LABEL, PROTOCOLS, RECIPE, SINGLES, TOGETHER
from study.reporting.figures.waterfall import bars, waterfall


def table(*arms, steps=(0.05, -0.03, 0.04, 0.0, 0.01, 0.02, -0.06), beyond=0.03, honest=0.62):
    """Return a ledger's table of made-up numbers; the scaler changes nothing of the first arm."""
    lines = []
    titles = {leak.name: leak.title for leak in PROTOCOLS} | {TOGETHER: "Together, beyond the sum"}
    for arm in arms:
        found = dict(zip((leak.name for leak in SINGLES), steps, strict=True)) | {TOGETHER: beyond}
        for name in (HONEST, *found, RECIPE):
            total = honest if name == HONEST else honest + sum(found.values())
            area = total if name in (HONEST, RECIPE) else np.nan
            difference = found.get(name, np.nan)
            nothing = "no clinical column is used" if name == "scaler-on-all-rows" and arm == arms[0] else ""
            lines.append(
                {
                    "arm": arm,
                    "leak": name,
                    "title": titles[name],
                    "label": "" if name == HONEST else LABEL,
                    "nothing": nothing,
                    "auc": area,
                    "auc_low": area - 0.05,
                    "auc_high": area + 0.05,
                    "difference": difference if not nothing else 0.0,
                    "difference_low": difference - 0.08,
                    "difference_high": difference + 0.08,
                }
            )
    return pd.DataFrame(lines)


def test_every_bar_stands_where_the_one_before_ended():
    found = table("concat", steps=(0.05, -0.03, 0.04, 0.0, 0.0, 0.02, -0.3), beyond=-0.03)
    lines = bars(found, None)
    assert [line.what for line in lines] == ["honest", *["leak"] * 7, "together", "total"]
    for before, after in itertools.pairwise(lines[:-1]):
        assert after.start == pytest.approx(before.end)
    assert lines[-2].end == pytest.approx(lines[-1].end) == pytest.approx(0.62 - 0.25)
    assert lines[-1].end < lines[-1].start == 0.5, "below chance the bar points to the left"


@pytest.mark.parametrize("arms", [("concat",), ("image", "concat"), ("image", "concat", "attention")])
@pytest.mark.parametrize("beyond", [0.1, -0.2])
def test_no_text_is_clipped_or_lies_on_another(arms, beyond):
    figure, data = waterfall(table(*arms, beyond=beyond), 0.872)
    figure.draw_without_rendering()
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, *axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    whole = figure.bbox
    for name, box in boxes:
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1, name
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 0 or down <= 0, (one, other)
    assert list(data["arm"].unique()) == list(arms)
    expected = "Together: more than the sum" if beyond > 0 else "Together: less than the sum"
    assert (data.loc[data["what"] == "together", "title"] == expected).all()


def test_panels_of_opposite_signs_share_a_neutral_label():
    found = table("image", "concat")
    found.loc[(found["arm"] == "image") & (found["leak"] == TOGETHER), "difference"] = -0.01
    data = waterfall(found)[1]
    assert set(data.loc[data["what"] == "together", "title"]) == {"Together, beyond the sum"}
