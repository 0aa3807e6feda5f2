"""Files of the checklists in a pack: each as Word form, Markdown and CSV, and the list of what is left to write."""

from collections.abc import Mapping, Sequence

import pandas as pd

from study.reporting.checklists import forms, prompts, word
from study.text.notices import csv


def checklist_files(frames: Mapping[str, pd.DataFrame], methods: Sequence[str], notice: str) -> dict[str, bytes]:
    """Return every file by its path below the report's folder; the same checklists give the same bytes.

    Args:
        frames: filled checklists by title.
        methods: paragraphs of Methods, with their marks.
        notice: the warning that everything carries, or ''.
    """
    files: dict[str, bytes] = {}
    for title, frame in frames.items():
        stem = f"{forms.FOLDER}/{forms.CHECKLISTS[title][0]}"
        files[f"{stem}.md"] = forms.to_markdown(frame, title, notice).encode()
        files[f"{stem}.csv"] = csv(frame, notice).encode()
        files[f"{stem}.docx"] = word.form(frame, title, notice)
    left = prompts.to_markdown(prompts.prompts(frames, methods), notice)
    return files | {f"{forms.FOLDER}/to_write.md": left.encode()}
