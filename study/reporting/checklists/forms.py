"""TRIPOD+AI, CLAIM, STARD-AI and PROBAST+AI, item by item: where in the pack each is answered, or what to write.

What a record cannot know is left to the authors, never guessed; so is an item whose answer is not in the pack at hand.
What items ask for is said in own words: the published lists hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.checklists.answers import DRAFTED, NOT_APPLICABLE, PARTLY, REPORTED, Answer, answer
from study.reporting.checklists.facts import gather_facts
from study.reporting.facts.prose import FILL, fill, render
from study.text.format import count, start

REFERENCE = Path(__file__).parent
FOLDER = "checklists"
STATUSES = (REPORTED, DRAFTED, PARTLY, NOT_APPLICABLE, FILL)
CHECKLISTS = {
    "TRIPOD+AI (2024)": ("tripod_ai_2024", "Items are numbered as in TRIPOD+AI (Collins et al. 2024)."),
    "CLAIM (2024)": (
        "claim_2024",
        "Items are numbered as in the 2024 update of CLAIM (Tejani et al.). What CLAIM calls the tuning part is called"
        " validation part in the rest of this pack, and its testing part is the test part.",
    ),
    "STARD-AI (2025)": (
        "stard_ai_2025",
        "Items are numbered as in STARD-AI (Sounderajah et al. 2025): 40 items in 48 lines. What it calls the"
        " validation set is the tuning part in the words of CLAIM.",
    ),
    "PROBAST+AI (2025)": (
        "probast_ai_2025",
        "Judgements are drafts from the record: the assessor decides. Questions follow the domains of PROBAST+AI (Moons"
        " et al. 2025) in a shorter form with numbers of our own: D for development (16 questions in the published"
        " tool), E for evaluation (18), A for applicability. A domain is low where every answer is yes or probably yes,"
        " high where one is no or probably no, else unclear.",
    ),
}
"""Title -> name of the files, and what is to be known of its items."""
OWN_WORDS = "What items ask for is said in our own words; the published list holds."
MEANING = (
    f"{REPORTED}: it stands where said. {DRAFTED}: the sentence here is the answer, to be moved into the manuscript."
    f" {PARTLY}: the authors add what is marked."
)
NAMES = {
    "item": "Item",
    "section": "Section",
    "topic": "Topic",
    "asks_for": "Asks for",
    "judgement": "Draft judgement",
    "status": "Status",
    "where": "Where in this pack",
    "answer": "Answer",
    "to_write": "To write",
}
KINDS = {"Word": "docx", "text": "md", "CSV": "csv"}
LOW, HIGH, UNCLEAR = "low", "high", "unclear"


def places(
    headings: Mapping[str, Iterable[str]],
    tables: Mapping[str, str],
    figures: Mapping[str, str],
    files: Iterable[str] = (),
) -> dict[str, str]:
    """Return everything a pack has: as `where` of an answer points to it -> as it is printed.

    Args:
        headings: file -> its headings, for example `{"report.md": ["Answer", "Cohort"]}`; `report.md, Cohort` is
            printed as `Report, Cohort`.
        tables: name -> number; `table main` is printed as `Table 2`.
        figures: likewise.
        files: other files, named as they are.
    """
    there = {file: file for file in files}
    for file, titles in headings.items():
        document = start(file.removesuffix(".md"))
        there |= {file: document} | {f"{file}, {heading}": f"{document}, {heading}" for heading in titles}
    there |= {f"table {name}": f"Table {number}" for name, number in tables.items()}
    return there | {f"figure {name}": f"Figure {number}" for name, number in figures.items()}


def items(title: str) -> pd.DataFrame:
    """Return the items of a checklist: item, section, topic, asks_for, and the name of the answer ('' for a domain)."""
    return pd.read_csv(REFERENCE / f"{CHECKLISTS[title][0]}.csv", dtype=str, keep_default_na=False)


def fill_all(study: StoredStudy, evaluation: Evaluation, there: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Return every checklist by its title: item, section, topic, asks_for, status, where, answer, to_write.

    PROBAST+AI has a column `judgement` too.

    Args:
        study: finished or not.
        evaluation: of the study.
        there: what the pack has (`places`); a pointer to anything else is dropped, and with the last one the answer.
    """
    facts = gather_facts(study, evaluation)
    return {title: _filled(items(title), facts, there) for title in CHECKLISTS}


def _filled(rows: pd.DataFrame, facts: Mapping[str, Any], there: Mapping[str, str]) -> pd.DataFrame:
    answers = [
        answer(name, facts, {*there}, asks_for) if name else Answer(DRAFTED)
        for name, asks_for in rows[["answer", "asks_for"]].to_numpy()
    ]
    frame = rows.drop(columns="answer").assign(
        status=[each.status for each in answers],
        where=["; ".join(there[place] for place in each.where) for each in answers],
        answer=[each.says for each in answers],
        to_write=[each.write for each in answers],
    )
    domains = rows["answer"] == ""
    if not domains.any():
        return frame
    judgements = pd.Series([each.judgement for each in answers])
    frame.insert(list(frame).index("status"), "judgement", judgements)
    for at in rows.index[domains]:
        of_domain = rows["item"].str.startswith(f"{rows.loc[at, 'item']}.")
        frame.loc[at, ["judgement", "answer"]] = _domain(judgements[of_domain], rows.loc[of_domain, "item"])
    return frame


def _domain(judgements: pd.Series, names: pd.Series) -> tuple[str, str]:
    """Return the judgement of a domain, and why."""
    against = list(names[judgements.isin(["no", "probably no"])])
    if against:
        return HIGH, f"Because of {', '.join(against)}."
    open_ones = list(names[judgements == ""])
    if open_ones:
        return UNCLEAR, f"Open: {', '.join(open_ones)}."
    return LOW, "Every answer is yes or probably yes."


def note(title: str) -> str:
    """Return what is to be known of a checklist, below it."""
    return f"{CHECKLISTS[title][1]} {OWN_WORDS} {MEANING}"


def tally(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many items have which status."""
    counts = frame["status"].value_counts()
    return {status: int(counts.get(status, 0)) for status in STATUSES}


def to_markdown(frame: pd.DataFrame, title: str, notice: str = "") -> str:
    """Return a checklist as Markdown: title, table, how many items have which status, note."""
    shown = frame.assign(answer=[_answer(*pair) for pair in frame[["answer", "to_write"]].astype(str).to_numpy()])
    columns = [name for name in NAMES if name in frame and name != "to_write"]
    lines = [_row([NAMES[name] for name in columns]), _row(["---"] * len(columns))]
    lines += [_row(row) for row in shown[columns].astype(str).to_numpy().tolist()]
    counted = ", ".join(f"{status}: {n}" for status, n in tally(frame).items() if n)
    foot = f"{count(len(frame), 'item')}; {counted}. {note(title)}"
    return (
        "\n\n".join(filter(None, [f"**{title}**", notice and f"> **{start(notice)}.**", "\n".join(lines), foot])) + "\n"
    )


def _answer(says: str, write: str) -> str:
    return " ".join(filter(None, (says, write and fill(write))))


def overview(frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the chapter of the supplement: how many items have which status, and where the filled forms are."""
    head = ["Checklist", "Items", *STATUSES, "Files"]
    lines = [_row(head), _row(["---"] * len(head))]
    for title, frame in frames.items():
        stem = f"{FOLDER}/{CHECKLISTS[title][0]}"
        files = ", ".join(f"[{name}]({stem}.{kind})" for name, kind in KINDS.items())
        lines.append(_row([title, str(len(frame)), *map(str, tally(frame).values()), files]))
    return [render("checklists", folder=FOLDER), "\n".join(lines), MEANING]


def _row(cells: Sequence[str]) -> str:
    texts = [" ".join(cell.replace("|", "\\|").split()) for cell in cells]
    return f"| {' | '.join(f'**{text}**' if text == FILL else text for text in texts)} |"
