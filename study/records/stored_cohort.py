"""The cohort of a study on disk: its rows (no pixels, no paths), and what else a report says of it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from mmbc.data.cohort import Cohort, Feature
from mmbc.data.listing import KEYS
from mmbc.data.tables.columns import FeatureKind
from mmbc.documents import Document
from mmbc.files import reading, write_atomically
from study.records.stored_frame import read_frame

FLOW_COLUMNS = ["step", "status", "n_images", "n_patients"]
EXCLUDED_COLUMNS = ["image_id", "patient_id", "status", "step", "reason"]


class CohortFacts(Document):
    """Everything of a cohort but its rows, as cohort.json has it."""

    name: str
    digest: str
    """Digest of the rows that the cells were trained on."""
    images_checked: bool
    notice: str
    notes: tuple[str, ...]
    positive: tuple[str, ...]
    n_outlined: int
    features: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Name, kind and, of ordered words, their order."""
    flow: tuple[dict[str, str | int], ...]
    excluded: tuple[dict[str, str | None], ...]


def write_cohort(folder: Path, cohort: Cohort, digest: str | None = None) -> None:
    """Write the rows and the facts; with a digest in place of the cohort's where rows have lost a column since."""
    buffer = io.BytesIO()
    cohort.images.drop(columns="path", errors="ignore").to_parquet(buffer, index=False)
    write_atomically(folder / "cohort.parquet", buffer.getvalue())
    facts = CohortFacts(
        name=cohort.name,
        digest=digest or cohort.digest,
        images_checked=cohort.images_checked,
        notice=cohort.notice,
        notes=cohort.notes,
        positive=cohort.positive,
        n_outlined=cohort.n_outlined,
        features=tuple((feature.name, feature.kind, feature.order) for feature in cohort.features),
        flow=tuple(cohort.flow.to_dict("records")),
        excluded=tuple(cohort.excluded.to_dict("records")),
    )
    facts.write(folder / "cohort.json")


def read_facts(folder: Path) -> CohortFacts:
    """Read cohort.json alone."""
    return CohortFacts.read(folder / "cohort.json")


def read_cohort(folder: Path) -> tuple[Cohort, str]:
    """Read what `write_cohort` wrote: the cohort, and the digest it had in training."""
    facts = read_facts(folder)
    with reading(folder / "cohort.json"):
        features = tuple(Feature(*feature) for feature in facts.features)  # type: ignore[arg-type]
        flow = _table(facts.flow, FLOW_COLUMNS).astype({"n_images": "int64", "n_patients": "int64"})
        excluded = _table(facts.excluded, EXCLUDED_COLUMNS)
        if unknown := [feature.kind for feature in features if feature.kind not in get_args(FeatureKind)]:
            raise ValueError(f"a clinical column has the kind {unknown[0]!r}")
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    names = [*KEYS, "label", *(feature.name for feature in features)]
    images = read_frame(folder / "cohort.parquet", names, numbers=["label", *numbers])
    cohort = Cohort(
        name=facts.name,
        images=images,
        positive=facts.positive,
        n_outlined=facts.n_outlined,
        features=features,
        flow=flow,
        excluded=excluded,
        images_checked=facts.images_checked,
        notice=facts.notice,
        notes=facts.notes,
    )
    return cohort, facts.digest


def _table(rows: Sequence[Mapping[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Return rows as a table; one that lacks a column is a KeyError."""
    return pd.DataFrame([{name: row[name] for name in columns} for row in rows], columns=columns)
