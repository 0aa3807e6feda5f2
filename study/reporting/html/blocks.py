"""Markdown of a report as a sequence of blocks: headings, tables with title and notes, figures with captions, prose."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from markdown_it.utils import EnvType, OptionsDict

from study.reporting.html.images import embed

PART = re.compile(r"(?:[\w-]+\.md)?#([^#]+)|([\w-]+)\.md")
"""A link to a part of this document, or to a file that is a part of it here."""
END = re.compile(r"(?<=[a-z)])[.:;]\s")
"""The end of a caption's first clause."""


@dataclass(frozen=True)
class Block:
    """One block of a report.

    Attributes:
        kind: heading, table, figure or prose.
        node: the heading, the table, the paragraph of the image, or whatever else.
        title: the paragraph that names a table.
        note: the paragraph below a table or figure.
        figure: the name of a figure.
    """

    kind: str
    node: SyntaxTreeNode
    title: SyntaxTreeNode | None = None
    note: SyntaxTreeNode | None = None
    figure: str = ""


@cache
def parser() -> MarkdownIt:
    """Return the Markdown parser: CommonMark and tables, HTML shown as text, images embedded, links adapted."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("link_open", _link)
    return markdown


def render(node: SyntaxTreeNode, env: dict[str, Any]) -> str:
    """Return a node as HTML; `env` has the figures and the ids of the document."""
    return parser().renderer.render(node.to_tokens(), parser().options, env).strip()


def plain(node: SyntaxTreeNode) -> str:
    """Return the text of a node without its marks."""
    if node.type in ("text", "code_inline", "image", "code_block", "fence"):
        return node.content
    between = " " if node.type in ("softbreak", "hardbreak") else ""
    return between + "".join(plain(child) for child in node.children)


def blocks_of(nodes: Sequence[SyntaxTreeNode]) -> list[Block]:
    """Return the blocks of a document in their order."""
    blocks: list[Block] = []
    at = 0
    while at < len(nodes):
        block, taken = _block_at(nodes, at)
        blocks.append(block)
        at += taken
    return blocks


def _block_at(nodes: Sequence[SyntaxTreeNode], at: int) -> tuple[Block, int]:
    """Return the block that begins at a node, and how many nodes it takes."""
    node = nodes[at]
    if node.type == "heading":
        return Block("heading", node), 1
    if _is_title(nodes, at):
        note = _note(nodes, at + 2, is_titled=True)
        return Block("table", nodes[at + 1], node, note), 2 + (note is not None)
    if node.type == "table":
        note = _note(nodes, at + 1, is_titled=False)
        return Block("table", node, None, note), 1 + (note is not None)
    if name := _image_alone(node):
        note = _note(nodes, at + 1, is_titled=False)
        return Block("figure", node, None, note, name), 1 + (note is not None)
    return Block("prose", node), 1


def _marks(node: SyntaxTreeNode) -> list[SyntaxTreeNode]:
    """Return the inline nodes of a paragraph that hold anything, or [] for another node."""
    if node.type != "paragraph":
        return []
    return [child for child in node.children[0].children if child.type != "text" or child.content.strip()]


def _is_title(nodes: Sequence[SyntaxTreeNode], at: int) -> bool:
    """Whether a paragraph names the table after it: it is bold, or begins with a bold 'Table'."""
    if at + 1 >= len(nodes) or nodes[at + 1].type != "table":
        return False
    marks = _marks(nodes[at])
    return bool(marks) and marks[0].type == "strong" and (len(marks) == 1 or plain(marks[0]).startswith("Table"))


def _note(nodes: Sequence[SyntaxTreeNode], at: int, *, is_titled: bool) -> SyntaxTreeNode | None:
    """Return the paragraph that belongs to the table or figure before it: any after a title, else one in italics."""
    if at >= len(nodes) or not (marks := _marks(nodes[at])):
        return None
    if _image_alone(nodes[at]) or _is_title(nodes, at):
        return None
    begins = marks[0].type == "em" or (marks[0].type == "strong" and plain(marks[0]).startswith("Figure"))
    return nodes[at] if is_titled or begins else None


def _image_alone(node: SyntaxTreeNode) -> str:
    """Return the name of the figure of a paragraph that is one image, or ''."""
    marks = _marks(node)
    return _figure_name(marks[0].attrs["src"]) if len(marks) == 1 and marks[0].type == "image" else ""


def _figure_name(source: object) -> str:
    """Return the name of a figure by its path in the report's folder; other addresses name none that there is."""
    path = PurePosixPath(unquote(str(source)))
    return path.stem if path.parent.as_posix() in (".", "figures") and path.stem else str(source) or "unnamed"


def accessible_name(block: Block) -> str:
    """Return what lists and screen readers call a table or figure: its title, or how its caption begins."""
    if block.title is not None:
        return END.split(plain(block.title))[0].rstrip(".")
    if block.kind == "table":
        return ""
    alternative = block.node.children[0].children[0].content
    if block.note is not None and alternative in ("", block.figure):
        return END.split(plain(block.note))[0].rstrip(".")
    return alternative or block.figure


def identifiers(blocks: Sequence[Block], reserved: Sequence[str]) -> list[str]:
    """Return an id for every block, '' for prose; headings have those of GitHub, so that links work in both."""
    taken = set(reserved)
    ids = [_unique(_slug(plain(b.node)) or "part", taken) if b.kind == "heading" else "" for b in blocks]
    for at, block in enumerate(blocks):
        if block.kind == "table":
            ids[at] = _unique(f"table-{_slug(plain(block.title)) if block.title else 'untitled'}", taken)
        elif block.kind == "figure":
            ids[at] = _unique(f"figure-{_slug(block.figure)}", taken)
    return ids


def _slug(text: str) -> str:
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate)
    return candidate


def _image(_: RendererHTML, tokens: Sequence[Token], at: int, __: OptionsDict, env: EnvType) -> str:
    """Render an image inside a line."""
    name = _figure_name(tokens[at].attrs["src"])
    figures: Mapping[str, bytes] = env["figures"]
    return embed(figures.get(name), name, tokens[at].content)


def _link(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """Render the beginning of a link: to a part of this document where it has it; a web address is printed once."""
    target = str(tokens[at].attrs["href"])
    if (part := PART.fullmatch(target)) and unquote(name := part[1] or part[2]) in env["ids"]:
        tokens[at].attrs["href"] = f"#{name}"
    elif ":" in target:
        tokens[at].attrs["rel"] = "noreferrer"
        if tokens[at].markup == "autolink" or tokens[at + 1].content == target:
            tokens[at].attrs["class"] = "bare"
    return renderer.renderToken(tokens, at, options, env)
