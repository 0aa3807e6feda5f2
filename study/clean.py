"""Show and delete what a study left: `python -m study.clean NAME`. Nothing is deleted without --yes."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal
from study.design.request import CACHE


@dataclass(frozen=True, kw_only=True)
class Clean(Command):
    """Show what a study left, with sizes, and delete it with --yes.

    That is its results with checkpoints and the trials of a search, studies of the same name that were set aside, its
    report and its audit. Files that are not of the study stay. The cache serves all studies: see mmbc cache.
    """

    name: Annotated[str, typer.Argument(help="Name of the study: that of its folder in results.")]
    out: Annotated[Path, typer.Option(help="Where studies lie.")] = Path("results")
    reports: Annotated[Path, typer.Option(help="Where reports lie.")] = Path("reports")
    yes: Annotated[bool, typer.Option("--yes", help="Delete it all; it cannot be undone.")] = False

    def run(self, terminal: Terminal) -> None:
        """Show what there is, and delete it if told to."""
        from mmbc.cache import entries
        from study.console.forecast import in_bytes
        from study.console.leftovers import delete, leftovers, parts, storage_note

        found = leftovers(self.name, self.out, self.reports)
        for one in found:
            terminal.say(f"{one.folder}: {one.what}, {in_bytes(one.n_bytes)}")
            for what, size in parts(one.folder).items():
                terminal.say(f"  of it {what}: {in_bytes(size)}")
            if one.others:
                terminal.say(f"  not of the study, stays: {', '.join(one.others)}")
        for note in {storage_note(one.folder) for one in found} - {""}:
            terminal.say(note)
        if cached := sum(entry.n_bytes for entry in entries(self.out / CACHE)):
            again = shlex.join(["python", "-m", "study.cache", "--clear", "all", "--out", str(self.out)])
            terminal.say(
                f"{self.out / CACHE}: features and images that all studies there share, {in_bytes(cached)}; they stay,"
                f" and {again} deletes them"
            )
        total = in_bytes(sum(one.n_bytes for one in found))
        if self.yes:
            delete(found)
            terminal.say(f"Deleted: {total}.")
        else:
            words = ["python", "-m", "study.clean", *terminal.words, "--yes"]
            terminal.say(f"Nothing is deleted yet. To delete {total}: {shlex.join(words)}")


app = command.app(Clean)

if __name__ == "__main__":
    app()
