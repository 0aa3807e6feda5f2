"""The drawing of the rooms of `study`, from the order that a test keeps and from what each room says of itself."""

import ast
import textwrap
from html import escape
from pathlib import Path

from reference_pages.markdown import table

ROOT = Path(__file__).resolve().parents[2]

WIDTH, PAD, LINE, GAP = 520, 12, 17, 10
"""Of the drawing, in units that are pixels where the page has room for it."""
LETTERS = 68
"""Letters of a line of text in a box, on the safe side."""


def order() -> tuple[str, ...]:
    """Return the rooms from the highest to the lowest, as the test of the imports has them."""
    for node in ast.parse((ROOT / "tests" / "test_imports.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ROOMS":
            return tuple(ast.literal_eval(node.value))
    raise LookupError("tests/test_imports.py has no tuple ROOMS")


def first_sentence(path: Path) -> str:
    """Return the first paragraph of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ")


def purpose(room: str) -> str:
    """Return what a room says of itself."""
    return first_sentence(ROOT / "study" / room / "__init__.py")


def used(room: str) -> list[str]:
    """Return the other rooms that the modules of a room import, in their order."""
    modules = set()
    for path in (ROOT / "study" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "study" else []
                modules |= {node.module, *names}
    named = {parts[1] for module in modules if (parts := module.split("."))[0] == "study" and len(parts) > 1}
    return [other for other in order() if other in named and other != room]


def drawing() -> str:
    """Return the rooms as SVG, one box above the other; its colours are those of the page."""
    files = [path.stem for path in (ROOT / "study").glob("*.py") if not path.stem.startswith("_")]
    boxes = [("commands", "The files of study/: " + ", ".join(sorted(files)) + ".", [])]
    boxes += [(room, purpose(room), used(room)) for room in order()]
    boxes.append(("mmbc", "The library, which knows nothing of studies: one cohort, one model.", []))
    parts, top = [], 1
    for name, text, below in boxes:
        lines = textwrap.wrap(text, LETTERS)
        lines += textwrap.wrap(f"uses {', '.join(below)}", LETTERS) if below else []
        height = 2 * PAD + LINE * (len(lines) + 1) - 6
        kind = {"commands": "outer", "mmbc": "outer"}.get(name, "room")
        parts.append(f'<rect class="{kind}" x="1" y="{top}" width="{WIDTH - 2}" height="{height}" rx="5"/>')
        parts.append(f'<text class="name" x="{PAD + 1}" y="{top + PAD + 10}">{name}</text>')
        for number, line in enumerate(lines, 1):
            kind = "use" if line.startswith("uses ") or number > len(textwrap.wrap(text, LETTERS)) else "purpose"
            parts.append(
                f'<text class="{kind}" x="{PAD + 1}" y="{top + PAD + 10 + LINE * number}">{escape(line)}</text>'
            )
        top += height + GAP
    alt = "The rooms of study, from the commands down to the library"
    opening = f'<svg class="rooms" role="img" aria-label="{alt}" viewBox="0 0 {WIDTH} {top - GAP + 1}"'
    return f'{opening} xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'


def library() -> str:
    """Return the packages and modules of `mmbc` as a table, each with its first sentence."""
    paths = [path.parent if path.name == "__init__.py" else path for path in (ROOT / "mmbc").rglob("*.py")]
    rows = []
    for path in sorted(path for path in paths if path.is_dir() or path.parent.name in ("mmbc", "data")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        rows.append((f"`{name}`", first_sentence(path / "__init__.py" if path.is_dir() else path)))
    return table(("module", "what is in it"), rows)
