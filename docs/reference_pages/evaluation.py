"""The page of the frames of an evaluation, from the schema that they are checked with."""

from study.evaluation.frames import reference_table

INTRODUCTION = """# Frames of an evaluation

`study.evaluate` returns an evaluation: every number of a study, as frames of pandas. Tables and figures of a report
are made of them, and each is checked against what this page says when it is made. An empty frame has its columns too.
"""


def page() -> str:
    """Return the page: a section for each frame."""
    return f"{INTRODUCTION}\n{reference_table(level=2)}"
