"""Tables and figures of an HTML report, each with its title and caption."""

import re
from html import escape
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from study.reporting.html.blocks import Block, accessible_name, plain, render
from study.reporting.html.images import embed
from study.text.format import start

NUMBER = re.compile(r"[\s\d.,()\[\]%<>≤≥=±+−/:-]*")
"""Characters of a cell of numbers without the words between them."""
WORDS = re.compile(r"\b(n/a|to|of|vs)\b")
INTERVAL = re.compile(r"\([^\s()<>]+ to [^()<>]+\)|^[+−]?[\d.,]+ to [+−]?[\d.,]+$")
"""An interval, in brackets behind its estimate or alone in its cell."""
BRACKETS = re.compile(r"(?<= )\[[\d.,]+ ?%?\]$")
"""A number in square brackets at the end of its cell."""
AUTHOR = "AUTHOR MUST FILL"
"""Mark of a checklist for what no record can answer."""
PHRASE, PROSE, LONG = 12, 60, 24
"""Characters from which a column holds phrases, or sentences; rows from which a table may break over pages."""
PHONE, SMALL, ROOM, TEXT = 340.0, 13.0, 10.0, 16
"""CSS pixels of a phone's page, its table font and a cell's two paddings; characters that a line of words needs."""
MOST_LABELLED = 20
"""Columns up to which the style sheet can label the cells of a card."""
PRINTED = 170.0
"""Width of a printed page's text in mm (A4)."""
LANDSCAPE = 257.0
LARGEST, READABLE, LEAST = 8.0, 5.5, 3.5
"""Font sizes of a printed table in points: no larger; the page turned below this; words broken below this."""
CHARACTER, PADDING = 0.56, 0.9
"""Widths of a character and of a cell's two paddings in units of the font size."""


def table_html(block: Block, name: str, heading: str, env: dict[str, Any]) -> str:
    """Return a table with its title above and its notes below.

    A table without a title is announced by the heading it stands under. It is given the font size at which its longest
    words fit the printed page, which no browser works out by itself. On a phone, a table that is too wide is shown as
    one card a row, by the style sheet alone: the names of the columns are in variables of the table.
    """
    head, rows = _cells(block.node)
    columns = [[plain(row[at]) for row in rows if at < len(row)] for at in range(len(head))]
    classes = [_column_class(cell, texts) for cell, texts in zip(head, columns, strict=True)]
    heads = [plain(cell) for cell in head]
    cells = [[head, *texts] for head, texts in zip(heads, columns, strict=True)]
    size, kind = _print_size(cells)
    kind += " cards" if (is_card := len(heads) <= MOST_LABELLED and not _fits_phone(cells)) else ""
    labels = "".join(f"; --h{number}: '{css_text(head)}'" for number, head in enumerate(heads, 1) if is_card and head)
    title = (
        f'<figcaption class="title" id="{name}:title">{render(block.title.children[0], env)} '
        f'<a class="anchor" href="#{name}" aria-label="Link to this table">#</a></figcaption>'
        if block.title is not None
        else f'<figcaption class="title unseen" id="{name}:title">{escape(heading)}: table</figcaption>'
    )
    top = "".join(f'<th scope="col"{css}>{_cell(cell, env)}</th>' for cell, css in zip(head, classes, strict=True))
    note = _caption(block.note, env)
    return "\n".join(
        [
            f'<figure class="table {kind}{" long" if len(rows) >= LONG else ""}" id="{name}">',
            title,
            f'<div class="scroll" role="group" aria-labelledby="{name}:title" tabindex="0">',
            f'<table aria-labelledby="{name}:title" style="--printed: {size:.1f}pt{labels}">',
            f"<thead>\n<tr>{top}</tr>\n</thead>",
            "<tbody>",
            *(_row(row, classes, env) for row in rows),
            "</tbody>",
            "</table>",
            "</div>",
            *([f'<p class="note">{note}</p>'] if note else []),
            "</figure>",
        ]
    )


def _cells(table: SyntaxTreeNode) -> tuple[list[SyntaxTreeNode], list[list[SyntaxTreeNode]]]:
    """Return the cells of the head and of every row."""
    rows = [list(row.children) for part in table.children for row in part.children]
    return rows[0], rows[1:]


def _column_class(head: SyntaxTreeNode, texts: list[str]) -> str:
    """Return the class attribute of a column's cells: by the alignment asked for, else by what they hold."""
    asked = str(head.attrs.get("style", "")).removeprefix("text-align:")
    filled = [text for text in texts if text.strip() not in ("", "n/a")]
    is_number = bool(filled) and all(NUMBER.fullmatch(WORDS.sub("", text)) for text in filled)
    kind = {"right": "number", "center": "middle", "left": ""}.get(asked, "number" if is_number else "")
    longest = max(map(len, texts), default=0)
    extent = "prose" if longest > PROSE else "phrase" if longest > PHRASE and not is_number else ""
    both = " ".join(word for word in (kind, extent) if word)
    return f' class="{both}"' if both else ""


def _row(row: list[SyntaxTreeNode], classes: list[str], env: dict[str, Any]) -> str:
    """Return a row, whose first cell is its head."""
    cells = []
    for at, (cell, css) in enumerate(zip(row, classes, strict=True)):
        tag, scope = ("td", "") if at else ("th", ' scope="row"')
        mark = ' class="todo"' if plain(cell).startswith(AUTHOR) else css
        cells.append(f"<{tag}{scope}{mark}>{_cell(cell, env)}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"


def _cell(cell: SyntaxTreeNode, env: dict[str, Any]) -> str:
    """Return what a cell holds; an interval stays on one line."""
    text = render(cell.children[0], env) if cell.children else ""
    text = INTERVAL.sub(lambda match: f'<span class="ci">{match[0].replace(" to ", "&nbsp;to ")}</span>', text)
    return BRACKETS.sub(r'<span class="ci">\g<0></span>', text)


def _print_size(columns: list[list[str]]) -> tuple[float, str]:
    """Return the font size in points at which intervals and the longest words fit the page, and the kind of table.

    Kinds: whole, broad (a page in landscape), crammed (words are broken too).
    """
    longest = [max(max(map(len, UNBROKEN.findall(text)), default=0) for text in column) for column in columns]
    if (size := _font_size(longest, PRINTED)) >= READABLE:
        return min(size, LARGEST), "whole"
    size = _font_size(longest, LANDSCAPE)
    return max(min(size, LARGEST), LEAST), "broad" if size >= LEAST else "broad crammed"


UNBROKEN = re.compile(rf"{INTERVAL.pattern}|[^\s-]+")
"""What stays on one line in a printed table."""


def _fits_phone(columns: list[list[str]]) -> bool:
    """Whether a table can be read on a phone as it is."""
    needed = [
        max(max(*map(len, UNBROKEN.findall(text)), 0, min(len(text), TEXT)) for text in column) for column in columns
    ]
    return sum(CHARACTER * SMALL * characters + ROOM for characters in needed) <= PHONE


def css_text(text: str) -> str:
    """Return a text as it stands in quotes in a style, every special character as its code."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " .,%()[]-") else f"\\{ord(c):x} " for c in text)


def _font_size(widths: list[int], page: float) -> float:
    return page / 25.4 * 72 / sum(CHARACTER * width + PADDING for width in widths)


def figure_html(block: Block, name: str, env: dict[str, Any]) -> str:
    """Return a figure with its caption, or a visible note in its place."""
    image = embed(env["figures"].get(block.figure), block.figure, accessible_name(block))
    caption = _caption(block.note, env)
    sheet = f'<div class="sheet">{image}</div>'
    return f'<figure class="drawing" id="{name}">\n{sheet}\n<figcaption>{caption}</figcaption>\n</figure>'


def _caption(note: SyntaxTreeNode | None, env: dict[str, Any]) -> str:
    """Return the text below a table or figure."""
    return render(note.children[0], env).strip() if note is not None else ""


def sentence(notice: str) -> str:
    """Return the notice with a capital letter and a full stop."""
    return f"{start(notice).removesuffix('.')}."
