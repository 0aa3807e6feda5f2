"""The pages of the documentation as tests see them: blocks of text, and the commands in them."""

import importlib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix(): path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
}
PENDING: set[str] = set()
"""Pages of what does not exist yet."""
BLOCK = re.compile(r"(?m)^(?:<!-- ([\w ]+): (.*?) -->\n)?```(\w+)\n((?:.*\n)*?)```$")
CONTINUES = re.compile(r"<!-- continues: (.*?) -->")
RUN = CliRunner()


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and what the comment before it says (kind and text)."""

    language: str
    text: str
    kind: str
    comment: str

    @property
    def file(self):
        """The file that the block is written to, or None."""
        first = re.match(r"# ([\w-]+\.toml)\b", self.text) if self.language == "toml" else None
        return self.comment if self.kind == "file" else first[1] if first else None

    @property
    def runs(self):
        return self.kind != "not run" and self.file is None and self.language in ("bash", "python")

    @property
    def lines(self):
        """The commands as lists of words, continued lines joined and comments dropped."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def blocks(page):
    """Return the blocks of a page."""
    found = BLOCK.findall(PAGES[page].read_text(encoding="utf-8"))
    return [Block(language, text, kind, comment) for kind, comment, language, text in found]


def module_of(words):
    """Return the module that a command runs and its arguments; (None, words) for a command of another program."""
    if words[0] == "mmbc" and words[1:] and not words[1].startswith("-"):
        return f"study.{words[1]}", words[2:]
    if words[:2] == ["python", "-m"]:
        return words[2], words[3:]
    return None, words


def command_of(module):
    return get_command(importlib.import_module(module).app)


def options_of(module):
    """Return the names of all options of a command."""
    return {name for param in command_of(module).params for name in (*param.opts, *param.secondary_opts)} | {"--help"}


class Reader:
    """Somebody who does what the pages say: each page in a folder of its own, or in that of the page it continues."""

    def __init__(self, folder):
        self.folder = folder
        self.outputs = {}

    def place(self, page):
        """Return the folder a page is read in."""
        before = CONTINUES.search(PAGES[page].read_text(encoding="utf-8"))
        return self.place(before[1]) if before else self.folder / page.removesuffix(".md").replace("/", "-")

    def read(self, page):
        """Do all that a page says, after the page that it continues, once; return what each command printed."""
        if page in self.outputs:
            return self.outputs[page]
        if before := CONTINUES.search(PAGES[page].read_text(encoding="utf-8")):
            self.read(before[1])
        place = self.place(page)
        place.mkdir(exist_ok=True)
        here = Path.cwd()
        os.chdir(place)
        try:
            for block in blocks(page):
                if block.file:
                    Path(block.file).write_text(block.text, encoding="utf-8")
            names = {"__name__": "block"}
            printed = [text for block in blocks(page) if block.runs for text in _run(block, names)]
        finally:
            os.chdir(here)
        self.outputs[page] = printed
        return printed


def _run(block, names):
    """Run a block; the Python blocks of a page share their names, as the cells of a notebook do."""
    if block.language == "python":
        exec(compile(block.text, "a block of Python", "exec"), names)
        return
    for words in block.lines:
        module, arguments = module_of(words)
        assert module, f"{words}: cannot be run by the test; give a reason: <!-- not run: ... -->"
        known = options_of(module)  # figures have tests of their own, and fewer draws take less time
        quick = [word for more in (["--no-figures"], ["--replicates", "200"]) if more[0] in known for word in more]
        done = RUN.invoke(importlib.import_module(module).app, [*arguments, *quick], env={"COLUMNS": "160"})
        assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}"
        yield " ".join(done.output.split())
