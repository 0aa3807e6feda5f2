"""What shortcuts, short training, small images and labels of examinations mean for a reader of the numbers."""

from collections.abc import Mapping
from typing import Any

from study.checks.registry import description
from study.checks.shortcuts import GROUP
from study.checks.studies import CUT_OFF
from study.records.finding import FAILED, WARNING, Finding
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.sentences import TRACES
from study.reporting.methods.data import PHANTOM
from study.text.format import count

FEWEST_PIXELS = 512
"""Side of an image below which small structures of a mammogram are lost."""
COUNTED = ("A09", "A10", "A11", "A33")
"""Checks of drawings, markers and polarity: they warn of what is there, and fail where it tells the classes apart."""
PERMUTED, EPOCHS = "A21", "A29"
WORDS = {"A19": "the silhouette of the breast", "A20": "the surroundings of the breast"}
"""Checks whose title does not fit into a sentence."""


def data_facts(study: StoredStudy) -> dict[str, Any]:
    """Return the faults of data and training that could explain results, as facts of the limitations."""
    shortcuts = [finding for finding in study.findings if _tells(finding)]
    if not study.imported and not study.uses_images:
        shortcuts = []
    data, real = study.settings.data, study.cohort.name != PHANTOM
    small = real and study.uses_images and data.image_size < FEWEST_PIXELS
    return {
        "shortcuts": [WORDS.get(finding.code, description(finding).title) for finding in shortcuts],
        "shortcut_codes": [finding.code for finding in shortcuts],
        **_cut_off(study),
        "side": data.image_size if small else 0,
        "n_both": _with_both_breasts(study),
    }


def _tells(finding: Finding) -> bool:
    """Whether a finding says that something beside the lesion tells the classes apart."""
    if finding.code in COUNTED:
        return finding.status == FAILED
    among = finding.code == TRACES or description(finding).group == GROUP
    return among and finding.code != PERMUTED and finding.status in (WARNING, FAILED)


def _cut_off(study: StoredStudy) -> dict[str, Any]:
    """Return which models were still improving when their epochs ended, and after how many epochs."""
    found = next((one for one in study.findings if one.code == EPOCHS and one.status == WARNING), None)
    rows: list[Mapping[str, Any]] = [] if found is None else list(found.rows)
    cut = [row for row in rows if row["best at the last epoch"] >= max(1, CUT_OFF * row["fits"])]
    limits = {int(row["allowed"]) for row in cut}
    return {
        "cut_off": [
            f"{row['best at the last epoch']} of {count(row['fits'], 'fit')} of {display_name(study, str(row['arm']))}"
            for row in cut
        ],
        "limit": count(limits.pop(), "epoch") if len(limits) == 1 else "epochs",
    }


def _with_both_breasts(study: StoredStudy) -> int:
    """Return how many positive examinations have images of both breasts, all labelled as the examination is."""
    settings, images = study.settings, study.cohort.images
    if settings.unit != "patient" or settings.data.conflicts == "any" or not study.uses_images:
        return 0
    positive = images[images["label"] == 1]
    return int((positive.groupby(["patient_id", "case_id"])["breast"].nunique() > 1).sum())
