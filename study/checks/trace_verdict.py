"""What traces of removed outlines amount to, and the sentence that says what remains of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmbc.data.tables.labels import CONTRALATERAL
from study.checks.check import Outcome, failed, passed
from study.checks.traces import OWN
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING
from study.text.format import count

NEAR, CLEAR = 0.55, 0.60
"""An excess whose whole interval lies above these AUCs is a warning, and a clear trace."""

HANDLED = {
    "inpaint": "outlines that are there were taken out, and no others, so that the treatment itself tells who had one",
    "sham": "one outline of each size class was taken out of every image, its own or a donor's",
}
"""What is done about outlines, by `data.outlines`."""

SEEN = {"all": "from all that is seen there", "mask": "from shape and position"}
"""What a probe sees of the places, in words."""


def judge_traces(result: pd.DataFrame, mode: str, n_outlined: int) -> Outcome:
    """Judge what a treatment leaves, by the excess of the mask and of all views together.

    Args:
        result: of `study.checks.traces.measure`.
        mode: the study's `data.outlines`.
        n_outlined: how many images have outlines.
    """
    if not n_outlined:
        return passed(
            "No image has an outline in the colours of Mini-DDSM's own; drawn curves of other kinds: A09 and A10."
        )
    if result.empty or result["comparison"].iloc[0].startswith(OWN):
        have = count(n_outlined, "image has outlines in its", "images have outlines in their")
        evidence = f"{have} pixels; too few patients of a class to say what remains."
        return Outcome(FAILED if mode == "keep" else NOT_CHECKED, evidence, HANDLED.get(mode, ""))
    if mode == "keep":
        area = f"AUC {_shown_at(result, mode, 'mask', 'treated')} for {_main_comparison(result)}"
        evidence = f"Outlines stay in the pixels: {area} from their shape and place alone."
        return failed(evidence, rows=_rows(result, mode))
    judged = result[(result["mode"] == mode) & (result["place"] == "excess") & result["view"].isin(["mask", "all"])]
    if not _by_breast(result):  # else an outline of one's own is the label
        judged = judged[~judged["comparison"].str.startswith(OWN)]
    surely = judged["low"].fillna(judged["auc"])
    status = FAILED if (surely > CLEAR).any() else WARNING if (surely > NEAR).any() else PASSED
    worst = judged.iloc[int(surely.to_numpy().argmax())]
    evidence = (
        f"{remains_text(result, mode)} The highest AUC of all comparisons is that for {worst['comparison']},"
        f" {_shown(worst)}, {SEEN[worst['view']]}."
    )
    return Outcome(status, evidence, HANDLED[mode], _rows(result, mode))


def remains_text(result: pd.DataFrame, mode: str = "sham") -> str:
    """Say what is left of the outlines, where there were some and patients enough.

    It belongs under every number of a study whose images had outlines.
    """
    return (
        "Traces of removed outlines: from the places where lesion outlines were removed, the AUC for"
        f" {_main_comparison(result)} is {_shown_at(result, mode, 'all', 'excess')}, beyond what similar places of the"
        " same images give. This is an upper bound, because these places include the rims of lesions. From the shape"
        f" and position of these places alone, it is {_shown_at(result, mode, 'mask', 'excess')}."
    )


def _main_comparison(result: pd.DataFrame) -> str:
    """Return the name of the study's comparison; with labels per breast, whose outline it is within positive cases."""
    names = result["comparison"]
    if not _by_breast(result):
        return str(names.iloc[0])
    positive = str(names.iloc[0]).partition(" against ")[0]
    return next((name for name in names if name == f"{OWN} within {positive}"), OWN)


def _by_breast(result: pd.DataFrame) -> bool:
    return bool(result["comparison"].str.contains(CONTRALATERAL).any())


def _shown_at(result: pd.DataFrame, mode: str, view: str, place: str) -> str:
    of_view = (result["mode"] == mode) & (result["view"] == view) & (result["place"] == place)
    return _shown(result[of_view & (result["comparison"] == _main_comparison(result))].iloc[0])


def _shown(row: pd.Series) -> str:
    interval = "" if np.isnan(row["low"]) else f" ({row['low']:.2f} to {row['high']:.2f})"
    return f"{row['auc']:.2f}{interval}"


def _rows(result: pd.DataFrame, mode: str) -> list[Mapping[str, str]]:
    """Return a mapping for each comparison and view, with the AUC at each place."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for _, row in result[result["mode"] == mode].iterrows():
        key = (row["comparison"], row["view"])
        rows.setdefault(key, {"comparison": key[0], "seen": key[1]})[row["place"]] = _shown(row)
    return list(rows.values())
