"""Markdown as HTML, for what a notebook shows of an object."""

from markdown_it import MarkdownIt


def html(markdown: str) -> str:
    """Return CommonMark with tables as HTML; HTML in it is shown as text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
