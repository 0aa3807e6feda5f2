"""The two documents of a pack: a report that opens with the answer, with the paper's tables and figures, and the rest.

Every table and figure is cited by its number in the text above it, in the order in which a document shows them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from study.evaluation.evaluation import LEVELS, Evaluation
from study.records.analysis_plan import FILE as PLAN
from study.records.stored_study import StoredStudy
from study.reporting.checklists import forms
from study.reporting.facts import bibliography
from study.reporting.facts.prose import paragraphs, render
from study.reporting.figures.catalogue import Drawing
from study.reporting.figures.journals import JOURNALS
from study.reporting.methods import chapter
from study.reporting.paper.numbering import elsewhere
from study.reporting.tables import PaperTable
from study.reporting.tables.audit import remains
from study.reporting.tables.markup import markdown
from study.reporting.text import answer as said
from study.reporting.text import audit_paragraphs, results, search_results, sections
from study.reporting.text.quick_try import quick_try
from study.text.format import start
from study.text.number_style import restyle

REPORT, SUPPLEMENT = "report.md", "supplement.md"
LIMITATIONS_SHOWN = 4
"""Points in the report; the supplement has all."""
DIFFERENCES = "Differences between models"
TITLED = re.compile(r"\A\*\*([^*]+?)\.\*\* ?")
"""The heading that a paragraph of Methods begins with."""
RESULTS = ("Cohort", "Performance", DIFFERENCES, "Calibration", "Operating points", "Subgroups")
"""Chapters of the report that are the results of a paper."""


class Shown(NamedTuple):
    """A table or figure in a document.

    Attributes:
        kind: Table or Figure.
        name: of its file.
        number: `2`, or `S3` in the supplement.
    """

    kind: str
    name: str
    number: str

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"

    @property
    def key(self) -> str:
        """What templates call it: `table main`."""
        return f"{self.kind.lower()} {self.name}"


@dataclass(frozen=True)
class Content:
    """Everything a pack is written from.

    Attributes:
        study, evaluation: predictions and numbers.
        tables: in the order of a paper.
        drawings: figures by name; empty where figures were not asked for.
        methods: paragraphs with citation keys.
        citations: style of citations and references.
        noted: texts beside the Methods that cite works: the notes of tables and figures.
    """

    study: StoredStudy
    evaluation: Evaluation
    tables: Sequence[PaperTable]
    drawings: Mapping[str, Drawing]
    methods: Sequence[str]
    citations: str = JOURNALS["nature"].citations
    noted: Sequence[str] = ()

    @property
    def notice(self) -> str:
        """The warning that everything carries, or ''."""
        return self.study.cohort.notice

    @cached_property
    def references(self) -> bibliography.References:
        """What the Methods and notes cite, in the journal's style."""
        return bibliography.cited([*self.methods, *self.noted], self.citations)

    @cached_property
    def limitations(self) -> list[str]:
        """Every limitation, the gravest first."""
        return sections.limitations(self.study, self.evaluation)

    @cached_property
    def checklists(self) -> dict[str, pd.DataFrame]:
        """Each checklist, filled, by its title."""
        return forms.fill_all(self.study, self.evaluation, places(self))

    @cached_property
    def floats(self) -> dict[str, Shown]:
        """Every table and figure by its Markdown."""
        tables = {self.table(one.name)[0]: Shown("Table", one.name, one.number) for one in self.tables}
        return tables | {
            self.figure(name)[0]: Shown("Figure", name, drawing.number) for name, drawing in self.drawings.items()
        }

    @cached_property
    def results(self) -> dict[str, list[str]]:
        """Heading -> paragraphs of the results as plain text, which cite the tables and figures of the paper."""
        before = {DIFFERENCES: [" ".join(said.contrast_lines(self.study, self.evaluation))]}
        return {
            heading: _plain([*before.get(heading, []), *(text for text in texts if text not in self.floats)])
            for heading, texts in self.report_chapters.items()
            if heading in RESULTS
        }

    @cached_property
    def paper(self) -> dict[str, dict[str, list[str]]]:
        """Chapter of a paper -> heading, '' for none -> paragraphs as plain text."""
        methods: dict[str, list[str]] = {}
        heading = ""
        for text in map(self.references.cite, self.methods):
            if titled := TITLED.match(text):
                heading = titled[1]
            methods.setdefault(heading, []).extend(_plain([text[titled.end() if titled else 0 :].replace("`", "")]))
        chapters = {
            "Methods": methods,
            "Results": self.results,
            "Limitations": {"": self.limitations},
            "References": {"": [line.removeprefix("- ") for line in self.references.listed.splitlines()]},
        }
        return {chapter: of_supplement(parts) for chapter, parts in chapters.items() if any(parts.values())}

    @cached_property
    def report_chapters(self) -> dict[str, list[str]]:
        """Heading -> parts of the report."""
        return _report_chapters(self)

    @cached_property
    def supplement_chapters(self) -> dict[str, list[str]]:
        """Heading -> parts of the supplement, before checklists and references."""
        return _supplement_chapters(self)

    def table(self, *names: str) -> list[str]:
        """Return tables as Markdown, as far as they are there."""
        by_name = {table.name: table for table in self.tables}
        return [markdown(by_name[name]) for name in names if name in by_name]

    def figure(self, *names: str) -> list[str]:
        """Return figures with their captions as Markdown, as far as they are there."""
        return [
            f"![{name}](figures/{name}.png)\n\n{self.drawings[name].numbered_caption}"
            for name in names
            if name in self.drawings
        ]


def title(content: Content) -> str:
    """Return the title of both documents."""
    several = not content.evaluation.summary.empty and content.evaluation.summary["arm"].nunique() > 1
    return render("title", name=content.study.name, several=several, imported=content.study.imported)


def paper_title(content: Content) -> str:
    """Return the title without the name of the study."""
    return start(title(content).removeprefix(f"{content.study.name}: "))


def of_supplement(parts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return paragraphs that say where a table or figure is that they lack; one that lists the supplement says so."""
    return {
        heading: [text if text.startswith("In the supplement:") else elsewhere(text) for text in texts]
        for heading, texts in parts.items()
    }


def report(content: Content) -> str:
    """Return `report.md`."""
    more = len(content.limitations) - LIMITATIONS_SHOWN
    foot = render("foot", more=max(more, 0), file=SUPPLEMENT)
    return _join([f"# {title(content)}", *_warnings(content), *_chapters(content.report_chapters), foot])


def _report_chapters(content: Content) -> dict[str, list[str]]:
    """Return heading -> parts of the report, as far as they are there."""
    study, evaluation = content.study, content.evaluation
    points = content.limitations
    listed = [f"- {point}" for point in points[:LIMITATIONS_SHOWN]]
    parts = {
        "Answer": [said.answer(study, evaluation), remains(study)],
        "Cohort": [
            sections.cohort(study, brief=True),
            audit_paragraphs.automatic_changes(study),
            *content.figure("flow"),
            *content.table("table_1"),
        ],
        "Performance": [
            results.performance(study, evaluation, compared=not said.too_small(study)),
            results.by_image(study, evaluation),
            sections.chance(study, evaluation),
            *content.table("main"),
            *content.figure("main"),
        ],
        DIFFERENCES: [*content.table("comparisons"), *content.figure("contrasts")],
        "Calibration": [sections.calibration(study, evaluation, brief=True)],
        "Operating points": [
            results.utility(study, evaluation),
            *content.table("operating_points"),
            *content.figure("decision"),
        ],
        "Subgroups": [sections.subgroups(study, evaluation)],
        "Audit": [audit_paragraphs.audit_summary(study)],
        "Limitations": ["\n".join(listed)],
    }
    if said.too_small(study):  # what would be read as a ranking
        del parts[DIFFERENCES]
    parts = _citing(content, {name: texts for name, texts in parts.items() if any(texts)})
    further = _further(content, parts)
    return {name: [*texts, *further.get(name, [])] for name, texts in parts.items()}


def _citing(content: Content, parts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return chapters with a paragraph before their first table or figure that cites them all."""
    cited = {}
    for name, texts in parts.items():
        shown = [content.floats[text] for text in texts if text in content.floats]
        at = next((at for at, text in enumerate(texts) if text in content.floats), len(texts))
        cited[name] = [*texts[:at], *([render("cited", items=shown)] if shown else []), *texts[at:]]
    return cited


def _further(content: Content, parts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return for chapters of the report where its supplement has more: `Performance (Tables S5 to S12)`."""
    found: dict[str, list[str]] = {}
    at = next(iter(parts))
    for heading, texts in content.supplement_chapters.items():
        at = heading if heading in parts else at
        if shown := [content.floats[text] for text in texts if text in content.floats]:
            found.setdefault(at, []).append(f"{heading} ({_span(shown)})")
    return {at: [f"In the supplement: {'; '.join(texts)}."] for at, texts in found.items()}


def _span(shown: Sequence[Shown]) -> str:
    """Return tables and figures of a chapter, which have successive numbers: `Tables S5 to S7 and Figure S2`."""
    spans = []
    for kind in ("Table", "Figure"):
        numbers = [one.number for one in shown if one.kind == kind]
        between = " and " if len(numbers) == 2 else " to "
        spans += [f"{kind} {numbers[0]}"] if len(numbers) == 1 else []
        spans += [f"{kind}s {numbers[0]}{between}{numbers[-1]}"] if len(numbers) > 1 else []
    return " and ".join(spans)


def _plain(texts: Sequence[str]) -> list[str]:
    """Return paragraphs without marks; the items of a list follow the text before them."""
    found: list[str] = []
    for text in filter(None, restyle("\n\n".join(texts)).replace("*", "").split("\n\n")):
        items = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
        if items and found:
            found[-1] += f" {'; '.join(items)}."
        else:
            found.append(text)
    return found


def _warnings(content: Content) -> list[str]:
    missing, tried = said.unfinished_cells(content.study), quick_try(content.study)
    return paragraphs("warnings", notice=content.notice, missing=missing, tried=tried)


def supplement(content: Content) -> str:
    """Return `supplement.md`; of the checklists it says how many items are answered, and where the forms are."""
    head = [f"# Supplement to {title(content)}", *_warnings(content)]
    body = [*head, *_chapters(content.supplement_chapters)]
    lists = forms.overview(content.checklists)
    return _join([*body, "## Checklists", *lists, "## References", content.references.listed])


def _supplement_chapters(content: Content) -> dict[str, list[str]]:
    """Return heading -> parts of the supplement, before checklists and references."""
    study, evaluation = content.study, content.evaluation
    points = "\n".join(f"- {point}" for point in content.limitations)
    forest = content.figure("contrasts") if said.too_small(study) else []
    others = [f"summary_{level}" for level in LEVELS if level != evaluation.unit]
    parts = {
        "Cohort": [sections.cohort(study), *content.figure("flow"), *content.table("flow", "table_1")],
        "Methods": [
            chapter.to_markdown(content.methods, content.references),
            *content.table("settings", "folds", "partitions"),
        ],
        "Hyper-parameter search": [
            search_results.results(study),
            *content.table("search_nested", "search_agreement", "search_chosen"),
            *content.figure("search_history", "search_effort", "search_importance", "search_slice"),
            *content.table("search_cost"),
        ],
        "Performance": [
            results.by_image(study, evaluation),
            *content.table(f"summary_{evaluation.unit}", "auc_by_estimand", "interval_methods", "auc_by_class"),
            *content.figure("roc_pr", "auc_by_fold", "risk"),
            *content.table("levels", *others, "per_fold"),
        ],
        DIFFERENCES: [
            *forest,
            said.disagreements(study, evaluation),
            *content.figure("added"),
            *content.table(
                "comparisons",
                "added_contrasts",
                "comparisons_by_patient",
                "comparisons_by_class",
                "probabilities",
                "variance",
            ),
        ],
        "Calibration": [
            sections.calibration(study, evaluation),
            *content.figure("calibration"),
            *content.table("calibration", "reliability"),
        ],
        "Operating points": [
            *content.table("operating_points", "cross_tabulation"),
            *content.figure("confusion", "decision"),
            *content.table("decision"),
        ],
        "Subgroups": [
            sections.subgroups(study, evaluation),
            *content.figure("subgroups"),
            *content.table("subgroups", "subgroup_contrasts", "subgroup_performance"),
        ],
        "Errors": [
            sections.errors(study, evaluation),
            *content.table("errors_by_class", "errors"),
            *content.figure("examples"),
        ],
        "Stability of the predictions": [
            sections.instability(study, evaluation),
            *content.figure("instability"),
            *content.table("instability"),
        ],
        "Learning curve": [
            sections.learning_curve(study, evaluation),
            *content.figure("learning_curve"),
            *content.table("learning_curve"),
        ],
        "Training": [
            sections.training(study),
            *content.figure("comprehensive_results", "loss_accuracy", "f1_auc", "generalisation_gap"),
            *content.table("compute"),
        ],
        "Audit": content.table("audit"),
        "Limitations": [points],
        "Provenance": [sections.provenance(study, in_r=not evaluation.summary.empty)],
    }
    of_paper = {text for text, one in content.floats.items() if one.number.isdigit()}
    return _citing(content, {name: [text for text in texts if text not in of_paper] for name, texts in parts.items()})


def shown_in_supplement(content: Content) -> tuple[list[str], list[str]]:
    """Return the names of the tables and of the figures that the supplement shows, each in its order."""
    parts = [text for texts in content.supplement_chapters.values() for text in texts]
    shown = [content.floats[text] for text in parts if text in content.floats]
    tables, figures = ([one.name for one in shown if one.kind == kind] for kind in ("Table", "Figure"))
    return tables, figures


def places(content: Content) -> dict[str, str]:
    """Return what a checklist may point to, and as what it is printed (`study.reporting.checklists.forms.places`)."""
    supplement_heads = [name for name, parts in content.supplement_chapters.items() if any(parts)]
    paragraphs = [text.removeprefix("**").partition(".**")[0] for text in content.methods]
    headings = {REPORT: list(content.report_chapters), SUPPLEMENT: supplement_heads, "methods.md": paragraphs}
    tables = {table.name: table.number for table in content.tables}
    figures = {name: drawing.number for name, drawing in content.drawings.items()}
    files = ["references.bib", "numbers.json", *([PLAN] if content.study.plan is not None else [])]
    return forms.places(headings, tables, figures, files)


def _chapters(parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return headings with their parts; a chapter of which nothing is there is left out."""
    return [text for name, texts in parts.items() if any(texts) for text in (f"## {name}", *texts)]


def _join(parts: Sequence[str]) -> str:
    return restyle("\n\n".join(part.strip() for part in parts if part.strip()) + "\n")
