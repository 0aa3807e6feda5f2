"""TRIPOD+AI (Collins et al. 2024) and CLAIM (Tejani et al. 2024), item by item: where in the pack each is answered.

What a record cannot know is left to the authors, never guessed; so is an item whose answer is not in the pack at hand.
The TRIPOD+AI items are paraphrased. Of CLAIM the numbers and a few short topics are known here, not the wording.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.checklists.answers import CLAIM, TRIPOD
from study.reporting.checklists.facts import NOT_APPLICABLE, Answer, ChecklistFacts, gather_facts
from study.reporting.facts.prose import FILL
from study.text.format import count

REFERENCE = Path(__file__).parent
N_CLAIM = 44
UNNAMED = "not named here"
"""Topic of a CLAIM item that is known by its number alone."""
NOTES = {
    "tripod": "Items are numbered as in TRIPOD+AI 2024; what they ask for is paraphrased, the published list holds.",
    "claim": (
        "Items are named by the numbers of CLAIM 2024. The wording of the list was not at hand: topics are short "
        "descriptions, and items that only the authors can answer are given by number alone."
    ),
}


def places(
    headings: Mapping[str, Iterable[str]], tables: Iterable[str], figures: Iterable[str], files: Iterable[str] = ()
) -> set[str]:
    """Return the names of everything a pack has, as `where` points to it.

    Args:
        headings: file -> its headings, for example `{"report.md": ["Answer", "Cohort"]}`; gives `report.md, Cohort`.
        tables: names; give `table main`.
        figures: names; give `figure main`.
        files: other files, named as they are.
    """
    chapters = {f"{file}, {heading}" for file, titles in headings.items() for heading in titles}
    return (
        chapters | {f"table {name}" for name in tables} | {f"figure {name}" for name in figures} | {*headings, *files}
    )


def tripod(study: StoredStudy, evaluation: Evaluation, places: Iterable[str]) -> pd.DataFrame:
    """Return the TRIPOD+AI checklist: item, section, topic, asks_for, status, where.

    Args:
        study: finished or not.
        evaluation: of the study.
        places: what the pack has (`places`); a pointer to anything else is dropped, and with the last one the answer.
    """
    items = pd.read_csv(REFERENCE / "tripod_ai_2024.csv", dtype=str)
    return _fill(items, TRIPOD, gather_facts(study, evaluation), set(places), NOTES["tripod"])


def claim(study: StoredStudy, evaluation: Evaluation, places: Iterable[str]) -> pd.DataFrame:
    """Return the CLAIM checklist: item, section, topic, status, where; arguments as `tripod`."""
    named = pd.read_csv(REFERENCE / "claim_2024.csv", dtype=str)
    numbers = pd.DataFrame({"item": [str(number) for number in range(1, N_CLAIM + 1)]})
    items = numbers.merge(named, on="item", how="left").fillna({"section": "", "topic": UNNAMED})
    return _fill(items, CLAIM, gather_facts(study, evaluation), set(places), NOTES["claim"])


def _fill(
    items: pd.DataFrame,
    answers: Mapping[str, Callable[[ChecklistFacts], Answer]],
    known: ChecklistFacts,
    there: set[str],
    note: str,
) -> pd.DataFrame:
    rows = [_pointers(answers[item](known), there) if item in answers else (FILL, "") for item in items["item"]]
    statuses, where = ([row[column] for row in rows] for column in (0, 1))
    frame = items.assign(status=statuses, where=where)
    frame.attrs["note"] = note
    return frame


def _pointers(answer: Answer, there: set[str]) -> tuple[str, str]:
    """Return status and where, with pointers to what is there alone."""
    pointers = [place for place in answer.where if place in there]
    if answer.status == FILL or (answer.status != NOT_APPLICABLE and not pointers):
        return FILL, ""
    return answer.status, ": ".join(part for part in ("; ".join(pointers), answer.fact) if part)


def to_markdown(frame: pd.DataFrame, title: str) -> str:
    """Return a checklist as Markdown: title, table, how many items have which status, note."""
    counts = frame["status"].value_counts(sort=False)
    tally = ", ".join(f"{status}: {n}" for status, n in counts.items())
    names = {
        "item": "Item",
        "section": "Section",
        "topic": "Topic",
        "asks_for": "Asks for",
        "status": "Status",
        "where": "Where",
    }
    columns = [name for name in names if name in frame]
    lines = [_row([names[name] for name in columns]), _row(["---"] * len(columns))]
    lines += [_row(row) for row in frame[columns].astype(str).to_numpy().tolist()]
    note = f"{count(len(frame), 'item')}; {tally}. {frame.attrs.get('note', '')}".strip()
    return "\n\n".join([f"**{title}**", "\n".join(lines), note]) + "\n"


def _row(cells: Sequence[str]) -> str:
    texts = [" ".join(cell.replace("|", "\\|").split()) for cell in cells]
    return f"| {' | '.join(f'**{text}**' if text == FILL else text for text in texts)} |"
