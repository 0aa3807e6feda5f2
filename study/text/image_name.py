"""Names of a cohort's images in sentences: mammograms only where they are."""

MAMMOGRAMS = "mammograms"
OF_MAMMOGRAMS = ("phantom", "mini-ddsm-v1", "mini-ddsm-v2")
"""Cohorts whose images are mammograms, or are drawn like them."""


def image_name(cohort: str, given: str = "") -> str:
    """Return what a cohort's images are called, in the plural.

    Args:
        cohort: its name.
        given: `data.image_name`.
    """
    return given or (MAMMOGRAMS if cohort in OF_MAMMOGRAMS else "images")


def worded(question: str, cohort: str, given: str = "") -> str:
    """Return the question of an arm with the cohort's own word for its images."""
    return question.replace(MAMMOGRAMS, image_name(cohort, given))
