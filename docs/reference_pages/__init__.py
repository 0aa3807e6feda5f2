"""Reference pages made from the code, so that they cannot drift from it: one module a page, each with `page()`."""

from collections.abc import Callable
from pathlib import Path

from reference_pages import checks, commands, evaluation, formats, rooms, settings

ROOT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands.page,
    "reference/settings.md": settings.page,
    "reference/checks.md": checks.page,
    "reference/file-formats.md": formats.page,
    "reference/evaluation.md": evaluation.page,
}
"""Path of each generated page below `docs/`, and what makes its Markdown."""

INSERTS: dict[str, Callable[[], str]] = {
    "<!-- drawing of the rooms -->": rooms.drawing,
    "<!-- modules of the library -->": rooms.library,
}
"""Comments in hand-written pages, and what takes their place."""

FIGURES = {
    f"assets/demo/{name}.png": ROOT / "reports" / "demo" / "figures" / f"{name}.png"
    for name in ("main", "contrasts", "calibration", "auc_by_fold")
}
"""Figures of the committed example that pages show, and where they lie."""
