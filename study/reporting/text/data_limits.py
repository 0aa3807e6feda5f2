"""What shortcuts, short training, small images and labels of examinations mean for a reader of the numbers."""

from typing import Any

from study.checks.registry import description
from study.checks.shortcuts import GROUP
from study.records.finding import FAILED, WARNING, Finding
from study.records.fit_ends import ends_in_words, fit_ends, is_nested
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.sentences import TRACES, configs
from study.reporting.methods.data import PHANTOM
from study.text.format import half_up, span

FEWEST_PIXELS = 512
"""Side of an image below which small structures of a mammogram are lost."""
COUNTED = ("A09", "A10", "A11", "A33")
"""Checks of drawings, markers and polarity: they warn of what is there, and fail where it tells the classes apart."""
PERMUTED = "A21"
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
        "ended": _ended(study),
        "side": data.image_size if small else 0,
        **both_breasts(study),
    }


def _tells(finding: Finding) -> bool:
    """Whether a finding says that something beside the lesion tells the classes apart."""
    if finding.code in COUNTED:
        return finding.status == FAILED
    among = finding.code == TRACES or description(finding).group == GROUP
    return among and finding.code != PERMUTED and finding.status in (WARNING, FAILED)


def _ended(study: StoredStudy) -> str:
    """Return how fits ended, where enough of a model's were best at the last epoch allowed; '' otherwise."""
    trained = {arm: config.train for arm, config in configs(study).items()}
    ends = fit_ends(study, trained)
    if not any(e.is_cut_off for e in ends):
        return ""
    fixed = any(train.keep == "last" for train in trained.values())
    return ends_in_words(ends, lambda arm: display_name(study, arm), nested=is_nested(study), some_fixed=fixed)


def both_breasts(study: StoredStudy) -> dict[str, Any]:
    """Return how many images labelled as their examination show the other breast of a positive one, as facts.

    `n_both` is the number of positive examinations with images of both breasts; 0 where labels are not the
    examination's, or no model sees images. Which of the two breasts is positive is not known here, so the number of
    images of the other one is a range where the breasts of an examination have different numbers of images.
    """
    settings, images = study.settings, study.cohort.images
    nothing = {"n_both": 0, "other_breast": "", "n_positive_images": 0, "other_share": ""}
    if settings.unit != "patient" or settings.data.conflicts == "any" or not study.uses_images:
        return nothing
    positive = images[images["label"] == 1]
    sizes = positive.groupby(["patient_id", "case_id", "breast"]).size().groupby(["patient_id", "case_id"])
    both = sizes.agg(["size", "min", "max"]).query("size > 1")
    if both.empty:
        return nothing
    ends = [int(both[end].sum()) for end in ("min", "max")]
    return {
        "n_both": len(both),
        "other_breast": span(*ends),
        "n_positive_images": len(positive),
        "other_share": f"{span(*(half_up(100 * n / len(positive), 0) for n in ends))} %",
    }
