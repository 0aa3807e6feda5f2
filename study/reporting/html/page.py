"""A report as one HTML file: nothing is loaded from elsewhere, and it reads, sorts, zooms and prints by itself.

The Markdown of a report has conventions that become structure here: `**Title**` before a table and the paragraph after
it, an image alone in its paragraph and the italics after it, a blockquote for a notice. Anybody's names (arms, columns,
patients) are text: HTML in the Markdown is escaped, and the page's policy allows one script, by its hash, and no
request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from markdown_it.tree import SyntaxTreeNode

from study.reporting.html.blocks import Block, accessible_name, blocks_of, identifiers, parser, plain, render
from study.reporting.html.floats import figure_html, sentence, table_html

PAGE_IDS = ("page-main", "page-contents", "page-zoom")
"""Ids of the page's own parts, which no heading may take."""


def page(title: str, markdown: str, figures: Mapping[str, bytes], notice: str = "") -> str:
    """Return a whole HTML document made of a report's Markdown.

    The same input gives the same text. An image whose name (`figures/NAME.png` -> NAME) is not among the figures, or
    that lies anywhere else, becomes a visible note. A notice that the text does not carry is added on top; it stands at
    the foot of every printed page.

    Args:
        title: of the document; also its first heading where the Markdown has none.
        markdown: CommonMark with tables; of links, those with a scheme that can run code are inert.
        figures: SVG or PNG files by name.
        notice: a warning for the whole report, or ''.

    Raises:
        ValueError: a figure is neither SVG nor PNG.
    """
    blocks = blocks_of(SyntaxTreeNode(parser().parse(markdown)).children)
    ids = identifiers(blocks, PAGE_IDS)
    env = {"figures": figures, "ids": frozenset(ids)}
    body, heading = _first_heading(title, blocks), title
    for block, name in zip(blocks, ids, strict=True):
        heading = plain(block.node) if block.kind == "heading" else heading
        body.append(_block(block, name, heading, env))
    body[1:1] = _warning(notice, blocks)
    script, style = (_asset(name) for name in ("page.js", "style.css"))
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        policy=_policy(script),
        style=style + _running_foot(notice or title),
        script=script,
        contents=_contents(blocks, ids),
        body="\n".join(body),
    )


def _asset(name: str) -> str:
    return (files("study.reporting.html") / "assets" / name).read_text(encoding="utf-8").strip() + "\n"


def _policy(script: str) -> str:
    """Return a content security policy: embedded images, styles of the page, this one script, no connection."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _running_foot(text: str) -> str:
    """Return the rule for the foot of every printed page: text and page number; every special character as its code."""
    quoted = "".join(c if c.isascii() and (c.isalnum() or c == " ") else f"\\{ord(c):x} " for c in text)
    return f'@page {{ @bottom-left {{ content: "{quoted}"; }} }}\n'


def _first_heading(title: str, blocks: Sequence[Block]) -> list[str]:
    """Return the title as a heading where the Markdown does not begin with one."""
    begins = bool(blocks) and blocks[0].kind == "heading" and blocks[0].node.tag == "h1"
    return [] if begins else [f"<h1>{escape(title)}</h1>"]


def _warning(notice: str, blocks: Sequence[Block]) -> list[str]:
    """Return the notice as a block of its own where no quoted block of the Markdown says it."""
    said = [plain(block.node).casefold() for block in blocks if block.node.type == "blockquote"]
    if not notice or any(notice.casefold() in text for text in said):
        return []
    return [f"<blockquote><p><strong>{escape(sentence(notice))}</strong></p></blockquote>"]


def _block(block: Block, name: str, heading: str, env: dict) -> str:
    if block.kind == "heading":
        anchor = f'<a class="anchor" href="#{name}" aria-label="Link to this part">#</a>'
        return f'<{block.node.tag} id="{name}">{render(block.node.children[0], env)} {anchor}</{block.node.tag}>'
    if block.kind == "table":
        return table_html(block, name, heading, env)
    if block.kind == "figure":
        return figure_html(block, name, env)
    return render(block.node, env)


def _contents(blocks: Sequence[Block], ids: Sequence[str]) -> str:
    """Return the lists of the navigation: parts, nested by level, then tables and figures."""
    named = list(zip(blocks, ids, strict=True))
    headings = [(int(b.node.tag[1]), plain(b.node), name) for b, name in named if b.kind == "heading"]
    if headings and headings[0][0] == 1:
        headings = headings[1:]  # the title of the document is no part of it
    lists = [_nest([entry for entry in headings if entry[0] <= 3])]
    for kind in ("table", "figure"):
        entries = [(1, text, name) for b, name in named if b.kind == kind and (text := accessible_name(b))]
        if entries:
            lists.append(
                f"<details><summary>{kind.capitalize()}s ({len(entries)})</summary>\n{_nest(entries)}</details>"
            )
    return "\n".join(part for part in lists if part)


def _nest(entries: Sequence[tuple[int, str, str]]) -> str:
    """Return (level, text, id) as nested lists: an entry belongs to the last one above it."""
    if not entries:
        return ""
    top, items, at = min(level for level, _, _ in entries), [], 0
    while at < len(entries):
        level, text, name = entries[at]
        end = at + 1
        while end < len(entries) and entries[end][0] > max(level, top):
            end += 1
        items.append(f'<li><a href="#{name}">{escape(text)}</a>{_nest(entries[at + 1 : end])}</li>')
        at = end
    return "<ol>\n" + "\n".join(items) + "\n</ol>"
