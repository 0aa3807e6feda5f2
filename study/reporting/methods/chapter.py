"""A Methods section with the real settings: paragraphs with citations, rendered as Markdown or LaTeX.

Markup: `**bold**`, `` `code` `` and citations `[@key]` or `[@one; @other]` (`study.reporting.facts.bibliography`).
What no record can know is marked AUTHOR MUST FILL, so a generated section is never complete by itself.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.facts.bibliography import CITATION, OWN, SOFTWARE, TRAINING_SOFTWARE, References
from study.reporting.facts.prose import paragraphs
from study.reporting.facts.sentences import configs
from study.reporting.methods import analysis, data, models, plan, search
from study.reporting.methods.macros import escape


def methods(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the Methods section of a study, one paragraph an element.

    Of an imported study it says what was done with the predictions and marks the rest for the authors.

    Args:
        study: finished or not.
        evaluation: of the study.
    """
    return [
        *data.data(study),
        *models.models(study),
        *search.search(study),
        *models.baseline(study),
        *analysis.analysis(study, evaluation),
        *plan.plan(study, evaluation),
        *software(study),
    ]


def software(study: StoredStudy) -> list[str]:
    """Return the paragraph on software and reporting guidelines."""
    e = study.environment
    trained = {"torch": "PyTorch", **({"timm": "timm"} if configs(study, lambda c: c.uses_images) else {})}
    trained |= {"optuna": "Optuna"} if study.settings.search is not None else {}
    shown = {} if study.imported else trained
    names = [_package(name, title, e.packages, TRAINING_SOFTWARE) for name, title in shown.items()]
    names += [_package(name, name, e.packages, SOFTWARE) for name in SOFTWARE]
    return paragraphs(
        "methods_software",
        imported=study.imported,
        device=e.device,
        version=e.mmbc,
        own=OWN,
        commit=e.commit[:12] if e.commit else "",
        python=e.python,
        packages=names,
    )


def _package(name: str, title: str, versions: Mapping[str, str | None], cites: Mapping[str, str]) -> str:
    version = f" {versions[name]}" if versions.get(name) else ""
    return f"{title} [@{cites[name]}]{version}"


def to_markdown(paragraphs: Iterable[str], references: References) -> str:
    """Return paragraphs as Markdown, citations as the journal of the references prints them."""
    return "\n\n".join(map(references.cite, paragraphs)) + "\n"


def to_latex(paragraphs: Iterable[str], natbib: str = "") -> str:
    r"""Return paragraphs as LaTeX: `\paragraph` for the title each begins with, `\cite` for citations.

    Args:
        paragraphs: of `methods`.
        natbib: options of the package with which citations look as in the journal, for the first line. Behind a digit a
            superscript would be read as a part of the number: there it is `(ref.~6)`, as in Markdown.
    """
    packages = f"\\usepackage[{natbib}]{{natbib}}, \\usepackage{{xurl}} for long addresses"
    needed = f"% {packages}, \\bibliographystyle{{unsrtnat}}, \\bibliography{{references}}\n"
    latex = [_latex(text) for text in paragraphs]
    if "super" in natbib:
        latex = [re.sub(r"(?<=\d)~\\cite\{([^}]*)\}", _lowered, text) for text in latex]
    return needed * bool(natbib) + "\n\n".join(latex) + "\n"


def _lowered(match: re.Match[str]) -> str:
    return f" (ref{'s' * (',' in match[1])}.~\\citenum{{{match[1]}}})"


MARKS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"\A\*\*(?P<title>[^*]+?)\.\*\*", lambda m: f"\\paragraph{{{escape(m['title'])}.}}"),
    (r"\*\*(?P<bold>[^*]+)\*\*", lambda m: f"\\textbf{{{_latex(m['bold'])}}}"),
    (r"`(?P<code>[^`]+)`", lambda m: f"\\texttt{{{escape(m['code'])}}}"),
    (CITATION.pattern, lambda m: f"\\cite{{{','.join(_keys(m))}}}"),
)
"""Markup and what it becomes; the first that matches wins, text in between is escaped."""


def _latex(text: str) -> str:
    done, position = [], 0
    while position < len(text):
        matches = [
            (match.start(), number, match)
            for number, (pattern, _) in enumerate(MARKS)
            if (match := re.compile(pattern).search(text, position))
        ]
        if not matches:
            break
        start, number, match = min(matches, key=lambda each: each[:2])
        done += [escape(text[position:start]), MARKS[number][1](match)]
        position = match.end()
    done.append(escape(text[position:]))
    return re.sub(r" (?=\\cite)", "~", "".join(done))


def _keys(match: re.Match[str]) -> list[str]:
    return [key.strip().removeprefix("@") for key in match[0].strip("[]").split(";")]
