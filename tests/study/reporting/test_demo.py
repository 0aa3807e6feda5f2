"""The committed example: complete, small, without a trace of the machine, and true to its predictions."""

import re
from pathlib import Path

import pytest

from study.reporting.verification import verify

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "reports" / "demo"


def files():
    return [path for path in DEMO.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_every_number_follows_from_the_predictions_beside_it():
    assert verify(DEMO) == []


def test_it_is_complete_small_and_linked():
    names = {str(path.relative_to(DEMO)) for path in files()}
    assert {
        "report.md",
        "supplement.md",
        "report.html",
        "tables.docx",
        "study/predictions.parquet",
        "study/cohort.parquet",
    } <= names
    assert sum(path.stat().st_size for path in files()) < 5_200_000
    assert "(reports/demo/report.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["md", "json", "toml", "tex", "csv", "html", "svg"])
def test_nothing_says_where_it_was_made(kind):
    for path in files():
        if path.suffix == f".{kind}":
            found = re.search(
                r"(?<![\w.:/])/(home|root|tmp|work|Users|mnt|opt|var)/\S*", path.read_text(encoding="utf-8")
            )
            assert not found, f"{path.name}: {found[0] if found else ''}"
