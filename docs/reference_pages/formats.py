"""The page of the file formats, from the modules that write and read the files."""

import importlib
import inspect

from mmbc.documents import Document
from reference_pages.markdown import prose, table
from reference_pages.settings import words_of
from study.design.search_results import TRIAL_COLUMNS
from study.imports.table_shape import OPTIONAL, ROLES
from study.records.cell_records import HISTORY_COLUMNS, PREDICTION_COLUMNS

INTRODUCTION = """# File formats

Everything a program needs to read is CSV, Parquet, JSON or TOML. Numbers are on disk in full precision; they are
rounded in text and tables alone.
"""

SECTIONS = (
    ("A study: results/NAME", "study.records.cell_records", {}),
    ("Predictions of a cell", "", {"predictions.parquet": PREDICTION_COLUMNS, "history.csv": HISTORY_COLUMNS}),
    ("The cohort of a study: cohort.json", "study.records.stored_cohort", {}),
    ("What a study was run with: environment.json", "study.records.environment", {}),
    ("An analysis plan: analysis_plan.md", "study.records.analysis_plan", {}),
    ("Splits: folds.json", "study.design.folds", {}),
    ("A search: results/NAME/search", "study.design.search_results", {"trials.parquet": TRIAL_COLUMNS}),
    ("An archive of predictions: reports/NAME/study", "study.records.stored_study", {}),
    ("Predictions added to a report (--add-predictions)", "study.records.added_predictions", {}),
    ("A report: reports/NAME", "study.reporting.pack", {}),
    ("A table of predictions from elsewhere", "study.imports.imported_study", {"needed": ROLES, "optional": OPTIONAL}),
    ("The fold certificate", "study.checks.certificate", {}),
    ("The clean list", "study.checks.clean_list", {}),
    ("A ledger: results/NAME/ledger", "study.leaks.optimism", {}),
)
"""Title of each section, the module whose docstring describes it, and lists of columns."""


def page() -> str:
    """Return the page: a section for each kind of file."""
    parts = [INTRODUCTION]
    for title, module, columns in SECTIONS:
        parts.append(f"## {title}\n")
        if module:
            loaded = importlib.import_module(module)
            parts.append(prose(inspect.getdoc(loaded)) + "\n")
            parts += [_document(kind) for kind in vars(loaded).values() if _is_document_of(kind, module)]
        parts += [
            f"Columns of `{name}`: {', '.join(f'`{one}`' for one in listed)}.\n" for name, listed in columns.items()
        ]
    return "\n".join(parts)


def _is_document_of(kind: object, module: str) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Document) and kind.__module__ == module


def _document(kind: type[Document]) -> str:
    """Return the keys of a JSON document as a table."""
    rows = [
        (f"`{name}`", words_of(field.annotation), field.description or "") for name, field in kind.model_fields.items()
    ]
    return f"**{kind.__name__}.** {prose(kind.__doc__)}\n\n{table(('key', 'value', 'meaning'), rows)}\n"
