"""A report as one HTML file: nothing is loaded from elsewhere, and it reads, sorts, zooms and prints by itself.

The Markdown of a report has conventions that become structure here: `**Title**` before a table and the paragraph after
it, an image alone in its paragraph and the italics after it, a blockquote for a notice. Anybody's names (arms, columns,
patients) are text: HTML in the Markdown is escaped, and the page's policy allows one script, by its hash, and no
request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it.tree import SyntaxTreeNode

from study.reporting.html.blocks import Block, accessible_name, blocks_of, identifiers, parser, plain, render
from study.reporting.html.floats import css_text, figure_html, sentence, table_html

PAGE_IDS = ("page-main", "page-contents", "page-zoom")
"""Ids of the page's own parts, which no heading may take."""
ENVIRONMENT = Environment(
    loader=PackageLoader("study.reporting.html", "assets"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


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
    body, heading = [], title
    for block, name in zip(blocks, ids, strict=True):
        heading = plain(block.node) if block.kind == "heading" else heading
        body.append(_block(block, name, heading, env))
    begins = bool(blocks) and blocks[0].kind == "heading" and blocks[0].node.tag == "h1"
    script, style = (_asset(name) for name in ("page.js", "style.css"))
    template = ENVIRONMENT.get_template("page.html.j2")
    return template.render(
        title=title,
        policy=_policy(script),
        style=style,
        foot=_running_foot(notice or title),
        script=script,
        **_contents(blocks, ids),
        heading=body.pop(0) if begins else "",
        warning="" if _is_said(notice, blocks) else sentence(notice),
        body=body,
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
    """Return the rule for the foot of every printed page."""
    return f'@page {{ @bottom-left {{ content: "{css_text(text)}"; }} }}\n'


def _is_said(notice: str, blocks: Sequence[Block]) -> bool:
    """Whether there is no notice, or a quoted block of the Markdown has it."""
    said = [plain(block.node).casefold() for block in blocks if block.node.type == "blockquote"]
    return any(notice.casefold() in text for text in said) or not notice


def _block(block: Block, name: str, heading: str, env: dict) -> str:
    if block.kind == "heading":
        anchor = f'<a class="anchor" href="#{name}" aria-label="Link to this part">#</a>'
        return f'<{block.node.tag} id="{name}">{render(block.node.children[0], env)} {anchor}</{block.node.tag}>'
    if block.kind == "table":
        return table_html(block, name, heading, env)
    if block.kind == "figure":
        return figure_html(block, name, env)
    return render(block.node, env)


def _contents(blocks: Sequence[Block], ids: Sequence[str]) -> dict[str, Any]:
    """Return the entries of the navigation: parts, nested by level, then tables and figures."""
    named = list(zip(blocks, ids, strict=True))
    headings = [(int(b.node.tag[1]), plain(b.node), name) for b, name in named if b.kind == "heading"]
    if headings and headings[0][0] == 1:
        headings = headings[1:]  # the title of the document is no part of it
    floats = {
        f"{kind.capitalize()}s": _nest(
            [(1, text, name) for b, name in named if b.kind == kind and (text := accessible_name(b))]
        )
        for kind in ("table", "figure")
    }
    return {"parts": _nest([entry for entry in headings if entry[0] <= 3]), "floats": floats}


def _nest(entries: Sequence[tuple[int, str, str]]) -> list[dict[str, Any]]:
    """Return (level, text, id) as nested entries: one belongs to the last one above it."""
    top, nested, at = min((level for level, _, _ in entries), default=0), [], 0
    while at < len(entries):
        level, text, name = entries[at]
        end = at + 1
        while end < len(entries) and entries[end][0] > max(level, top):
            end += 1
        nested.append({"text": text, "id": name, "below": _nest(entries[at + 1 : end])})
        at = end
    return nested
