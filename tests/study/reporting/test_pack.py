"""The pack as a whole: what is in it, what its documents say, and that they stay true when the numbers are bad."""

import dataclasses
import json
import re
import shutil
import subprocess

import docx
import numpy as np
import openpyxl
import pandas as pd
import pytest
from docx.oxml.ns import qn

from study.evaluation.evaluation import evaluate
from study.records.environment import Imported
from study.reporting import manifest
from study.reporting.document import places, report, supplement
from study.reporting.manifest import Options
from study.reporting.pack import gather_content, write_pack
from study.reporting.tables import markdown
from study.reporting.tables.references import pieces
from study.reporting.text.answer import missing_for_verdicts
from study.stats.procedure import PROCEDURE
from study.text import format as shown

NOTICE = "synthetic phantom cohort, not clinical evidence"
ABOUT = Imported(file="mine.csv", sha256="0" * 64, n_rows=12, columns={})
OPTIONS = Options(archive=True)


@pytest.fixture(scope="module")
def pack(evaluated, tmp_path_factory):
    stored, evaluation = evaluated
    folder = tmp_path_factory.mktemp("reports") / "finished"
    write_pack(stored, evaluation, folder, OPTIONS)
    return stored, evaluation, folder


def with_seeds(stored, n_seeds, gain=0.0):
    """Return the study with more training seeds: the same logits, the arm `concat` better by `gain` on positives."""
    rng = np.random.default_rng(1)
    frames = []
    for seed in range(n_seeds):
        rows = stored.predictions[stored.predictions["arm"] != "logistic"].copy()
        rows["logit"] += rng.normal(0, 0.05, len(rows)) + gain * rows["label"] * (rows["arm"] == "concat")
        frames.append(rows.assign(seed=seed))
    frames.append(stored.predictions[stored.predictions["arm"] == "logistic"])
    records = {
        name.replace(".s0", f".s{seed}"): record.changed(seed=seed)
        for seed in range(n_seeds)
        for name, record in stored.records.items()
        if seed == 0 or record.arm != "logistic"
    }
    settings = stored.settings.model_copy(
        update={"protocol": stored.settings.protocol.model_copy(update={"seeds": n_seeds})}
    )
    return dataclasses.replace(
        stored,
        predictions=pd.concat(frames, ignore_index=True),
        records=records,
        planned=tuple(records),
        settings=settings,
    )


def written(study, **options):
    """Return the documents of a study and its tables as Markdown, without figures."""
    evaluation = evaluate(study, n_replicates=100)
    content = gather_content(study, evaluation, Options(figures=False, **options))
    tables = {f"tables/{table.name}.md": markdown(table, content.notice) for table in content.tables}
    return {"report.md": report(content), "supplement.md": supplement(content), **tables}, evaluation


@pytest.mark.slow
def test_everything_is_there_and_listed_with_its_digest(pack):
    folder = pack[2]
    listed = json.loads((folder / "pack.json").read_text())["files"]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*listed, "pack.json"}
    for name in (
        "report.md",
        "supplement.md",
        "report.html",
        "numbers.json",
        "numbers.tex",
        "methods.md",
        "methods.tex",
        "references.bib",
        "tables.xlsx",
        "tables.docx",
        "tables/all.tex",
        "paper/paper.docx",
        "paper/paper.tex",
        "checklists/tripod_ai_2024.md",
        "checklists/claim_2024.csv",
        "checklists/stard_ai_2025.docx",
        "checklists/to_write.md",
        "study/archive.json",
    ):
        assert name in found
    figures = {name.removeprefix("figures/") for name in found if name.startswith("figures/")}
    assert {"main.png", "main.pdf", "main.svg", "main.csv", "contrasts.svg", "flow.png"} <= figures
    assert len(figures) % 4 == 0
    for table in {name.split("/")[1].split(".")[0] for name in found if name.startswith("tables/")} - {"all"}:
        assert {f"tables/{table}.{kind}" for kind in ("md", "csv", "tex")} <= found


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes_and_stale_files_go(pack, tmp_path, monkeypatch):
    from study.reporting import pack as module

    stored, evaluation, folder = pack
    everything = module.catalogue
    monkeypatch.setattr(module, "catalogue", lambda *a: {"roc_pr": everything(*a)["roc_pr"]})
    write_pack(stored, evaluation, tmp_path, OPTIONS)
    for path in tmp_path.rglob("*"):
        name = str(path.relative_to(tmp_path))
        if path.is_file() and name.startswith(("figures/", "tables", "numbers", "study/", "methods")):
            assert path.read_bytes() == (folder / name).read_bytes(), name
    (tmp_path / "notes.txt").write_text("the author's own")
    write_pack(stored, evaluation, tmp_path, dataclasses.replace(OPTIONS, figures=False))
    assert not list((tmp_path / "figures").iterdir()) and (tmp_path / "notes.txt").exists()
    assert "figures/" not in (tmp_path / "report.md").read_text()


def test_tables_and_figures_are_numbered_alike_everywhere_and_four_of_each_are_the_paper(pack):
    stored, evaluation, folder = pack
    content = gather_content(stored, evaluation, OPTIONS)
    first = [table.name for table in content.tables if not table.number.startswith("S")]
    assert first == ["table_1", "main", "operating_points"], "too few patients to compare models"
    drawn = [name for name, drawing in content.drawings.items() if not drawing.number.startswith("S")]
    assert set(drawn) <= {"flow", "contrasts", "main", "decision"} and {"flow", "main"} <= set(drawn)
    both = (folder / "report.md").read_text() + (folder / "supplement.md").read_text()
    word = docx.Document(folder / "paper" / "paper.docx")
    captions = [one.text.replace("\u00a0", " ") for one in word.paragraphs if one.style.name == "Caption"]
    assert len(captions) == len(first) + len(drawn) == len(word.tables) + len(word.inline_shapes)
    latex = (folder / "paper" / "paper.tex").read_text()
    for table in content.tables:
        title = f"Table {table.number}. {table.title}"
        assert f"**{title}**" in (folder / "tables" / f"{table.name}.md").read_text()
        assert (title in captions) == (table.name in first) == (rf"\label{{tab:{table.name}}}" in latex)
    for name, drawing in content.drawings.items():
        assert f"![{name}](figures/{name}.png)\n\n**Figure {drawing.number}.** " in both
        assert (
            (f"Figure {drawing.number}. {drawing.caption}" in captions) == (name in drawn) == (f"{name}.pdf" in latex)
        )
    supplement = (folder / "supplement.md").read_text()
    for heading in (r"\*\*Table S(\d+)\. ", r"\*\*Figure S(\d+)\.\*\* "):
        found = [int(number) for number in re.findall(heading, supplement)]
        assert found == list(range(1, len(found) + 1)) and found, "numbered as the supplement shows them"
    for name, is_its_own in (("report.md", str.isdigit), ("supplement.md", lambda number: number.startswith("S"))):
        running = (folder / name).read_text()
        for part in content.floats:
            assert (part.strip() in running) == is_its_own(content.floats[part].number), "the paper's are in the report"
            running = running.replace(part.strip(), "")
        for kind in ("Table", "Figure"):
            own = [one.number for one in content.floats.values() if one.kind == kind and is_its_own(one.number)]
            cited = [number for number, of in pieces(running) if of == kind and is_its_own(number)]
            assert list(dict.fromkeys(cited)) == sorted(own, key=lambda number: int(number.strip("S"))) and own
    marks = {one.get(qn("w:name")) for one in word.element.iter(qn("w:bookmarkStart"))}
    fields = [one.text.split() for one in word.element.iter(qn("w:instrText"))]
    assert {words[1] for words in fields if words[0] == "REF"} == marks and len(marks) == len(captions)
    labels = set(re.findall(r"\\label\{([^}]*)\}", latex))
    assert set(re.findall(r"\\ref\{([^}]*)\}", latex)) == labels and len(labels) == len(captions)
    spoken = pd.read_csv(folder / "tables" / "comparisons.csv")["sentence"]
    macros = (folder / "numbers.tex").read_text()
    macros = [line.partition("}{")[2].partition("}% ")[0] for line in macros.splitlines() if "Sentence}" in line]
    assert macros and not re.search(r"\b(E1|E2|concat|tabular)\b", " ".join([*spoken, *macros]))
    assert not re.search(r"\{(table|figure):", both + "".join(captions))
    counts = next(table.number for table in content.tables if table.name == "cross_tabulation")
    assert f"The counts are in Table {counts}." in both
    assert not {path.stem for path in folder.glob("*.tex")} & {path.stem for path in (folder / "tables").glob("*.tex")}


def test_the_paper_has_the_methods_limitations_and_references_that_it_refers_to(pack):
    *_, folder = pack
    latex = (folder / "paper" / "paper.tex").read_text()
    paragraphs = docx.Document(folder / "paper" / "paper.docx").paragraphs
    for chapter in ("Methods", "Results", "Limitations", "References"):
        assert rf"\section*{{{chapter}}}" in latex
        assert any(one.text == chapter and one.style.name == "Heading 1" for one in paragraphs), chapter
    number = next(one.text.partition(".")[0] for one in paragraphs if "Austin, P. C." in one.text)
    assert rf"all others\textsuperscript{{{number}}}" in latex and "(Austin 2009)" not in latex
    assert "[@" not in latex and ":" not in paragraphs[0].text
    _, _, floats = latex.partition("toprule")
    assert re.search(r"Table[ ~]S\d+ of the supplement", floats)
    assert not re.search(r"Table[ ~]S\d+\b(?! of the supplement)", floats), "the paper does not have them"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_paper_compiles_from_a_flat_upload(pack, tmp_path):
    folder = pack[2]
    for path in [folder / "paper" / "paper.tex", *(folder / "figures").glob("*.pdf")]:
        shutil.copy(path, tmp_path)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0 and "Overfull" not in log and "Missing character" not in log, log[-2000:]


def test_every_link_and_every_pointer_of_a_checklist_leads_somewhere(pack):
    stored, evaluation, folder = pack
    for name in ("report.md", "supplement.md"):
        text = (folder / name).read_text()
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("http") or (folder / target).exists(), target
    there = {*places(gather_content(stored, evaluation, OPTIONS)).values()}
    assert {"Table 1", "Figure 1", "Methods, Data", "Report, Answer"} <= there
    for name in ("tripod_ai_2024", "claim_2024", "stard_ai_2025", "probast_ai_2025"):
        rows = pd.read_csv(folder / "checklists" / f"{name}.csv", dtype=str, keep_default_na=False)
        for status, where in rows[["status", "where"]].to_numpy():
            pointers = [part for part in where.split("; ") if part]
            assert set(pointers) <= there and (pointers or status != "reported")


def test_the_notice_is_once_in_every_file_of_tables_figures_and_text(pack):
    folder = pack[2]
    for file in [*(folder / "tables").glob("*.csv"), *(folder / "figures").glob("*.csv")]:
        assert pd.read_csv(file).columns[-1] == f"notice: {NOTICE}", file.name
    assert NOTICE in (folder / "numbers.tex").read_text()
    for file in [*(folder / "tables").glob("*.md"), *(folder / "tables").glob("*.tex")]:
        assert file.read_text().casefold().count(NOTICE) == 1, file.name
    for name in ("report.md", "supplement.md"):
        assert (folder / name).read_text().casefold().count(NOTICE) == 1
    assert NOTICE in (folder / "report.html").read_text().casefold()
    workbook = openpyxl.load_workbook(folder / "tables.xlsx")
    for sheet in workbook:
        assert any(NOTICE in str(cell.value) for row in sheet.iter_rows(max_row=6) for cell in row), sheet.title


def test_the_report_says_what_the_numbers_say(pack):
    stored, evaluation, folder = pack
    text = (folder / "report.md").read_text()
    line = evaluation.summary.set_index(["arm", "level", "metric"]).loc[("concat", "patient", "roc_auc")]
    assert shown.interval("roc_auc", line["value"], line["low"], line["high"]) in text
    lines = evaluation.intervals
    e2 = lines[(lines["level"] == "patient") & (lines["metric"] == "roc_auc") & (lines["method"] == PROCEDURE)]
    assert len(e2) == 5
    supplement = (folder / "supplement.md").read_text()
    numbers = pd.read_csv(folder / "tables" / "interval_methods.csv")
    for row in e2.to_dict("records"):
        cell = shown.interval("roc_auc", row["value"], row["low"], row["high"])
        assert cell not in supplement, f"{row['arm']}: one seed says nothing of training again"
        assert numbers["low"].sub(row["low"]).abs().min() < 1e-9, "the files of numbers have it"
    assert f"{len(stored.cohort.images)} images of {stored.cohort.n_patients} patients" in text
    assert "significant" not in text.lower() and not re.search(r"\bnan\b", text)
    titles = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert titles[0] == "Answer" and titles[-1] == "Limitations"
    titles = re.findall(r"^## (.*)", (folder / "supplement.md").read_text(), re.MULTILINE)
    assert titles == [
        "Cohort",
        "Methods",
        "Performance",
        "Differences between models",
        "Calibration",
        "Operating points",
        "Subgroups",
        "Errors",
        "Stability of the predictions",
        "Training",
        "Audit",
        "Limitations",
        "Provenance",
        "Checklists",
        "References",
    ]


def test_what_no_contrast_tests_against_the_baseline_is_called_exploratory(pack):
    _, evaluation, folder = pack
    found = evaluation.against_baseline.set_index("first")
    value = evaluation.summary.query("level == 'patient' and metric == 'roc_auc'").set_index("arm")["value"]
    assert list(found.index) == ["image", "tabular", "attention"], "concat minus logistic is declared"
    for arm, row in found.iterrows():
        assert row["difference"] == pytest.approx(value[arm] - value["logistic"], abs=1e-12)
        assert row["low"] < row["difference"] < row["high"]
    text = (folder / "supplement.md").read_text()
    assert "Compared with logistic regression, the AUC differed by" in text


def test_a_tiny_cohort_gets_a_warning_and_no_ranking(pack):
    text = (pack[2] / "report.md").read_text()
    answer = text.split("## Answer")[1].split("## Cohort")[0]
    assert "too small to compare anything" in answer and "13 patients in the smaller class" in answer
    assert "Adding" not in answer and "better" not in answer
    assert "contrasts.png" not in text and "## Differences between models" not in text


def test_a_test_part_is_too_small_however_large_the_cohort_is(stored):
    """A hold-out is judged by the patients that were tested."""
    from dataclasses import replace

    from study.reporting.facts.counts import smaller_class

    patients = stored.cohort.images.groupby("patient_id")["label"].max()
    tested = [*patients.index[patients == 1][:2], *patients.index[patients == 0][:5]]
    few = stored.folds.folds[0].model_copy(update={"test": tuple(tested)})
    assert smaller_class(stored) == min(patients.sum(), len(patients) - patients.sum())
    held = replace(stored, folds=stored.folds.model_copy(update={"kind": "holdout", "folds": (few,)}))
    assert smaller_class(held) == 2


@pytest.fixture
def large(pack, monkeypatch):
    """The finished study, taken for one that is large enough to be ranked."""
    from study.reporting.text import answer

    monkeypatch.setattr(answer, "TINY", 2)
    return pack[0]


def test_one_seed_says_how_to_add_what_is_missing_and_the_screen_has_the_command(large):
    documents, evaluation = written(large)
    answer = documents["report.md"].split("## Cohort")[0]
    assert answer.count("CI, these fitted models: ") == 4
    assert "remains open: AUC" in answer or "whether this recurs is unknown" in answer
    assert "Give the command in Provenance (supplement) again with `--seeds 3`; it trains only" in answer
    on_screen = missing_for_verdicts(large, evaluation, on_screen=True)
    assert "`test --seeds 3` adds them" in on_screen and "`test" not in answer


@pytest.mark.slow
def test_verdicts_are_told_in_plain_words(large):
    documents, evaluation = written(with_seeds(large, 3, gain=8.0))
    verdicts = evaluation.comparisons.set_index(["first", "second"])["verdict"]
    answer = documents["report.md"].split("## Cohort")[0]
    assert verdicts["concat", "tabular"] == "better" == verdicts["concat", "image"]
    assert "**Adding mammograms to age and density raised the AUC from 0." in answer and "(network) to " in answer
    assert "**Adding age and density to mammograms raised the AUC from 0." in answer
    assert "not assessed" not in answer and "trained again on a similar cohort: " in answer
    worse, evaluation = written(with_seeds(large, 3, gain=-8.0))
    assert "Adding mammograms to age and density lowered the AUC from 0." in worse["report.md"]
    same, evaluation = written(with_seeds(large, 3))
    for row in evaluation.comparisons.to_dict("records"):
        assert row["verdict"] in ("inconclusive", "better", "worse", "non-inferior")
        assert shown.difference(row["difference"]) in same["tables/comparisons.md"], "numbers stand behind the words"


def test_a_study_with_nothing_finished_still_gets_a_pack(pack, tmp_path):
    stored = dataclasses.replace(
        pack[0], records={}, predictions=pack[0].predictions.iloc[:0], history=pack[0].history.iloc[:0]
    )
    text = write_pack(stored, evaluate(stored, n_replicates=100), tmp_path).read_text()
    assert (
        "No model is finished yet" in text
        and "**Unfinished: 16 of 16 fits have not finished, nor has the logistic regression" in text
    )


def test_a_study_without_one_arm_says_so_at_the_top_and_reports_the_others(pack):
    stored, _, folder = pack
    assert "Unfinished" not in (folder / "report.md").read_text()
    records = {name: record for name, record in stored.records.items() if not name.startswith("image.r1")}
    partial = dataclasses.replace(
        stored, records=records, predictions=stored.predictions.query("not (arm == 'image' and repeat == 1)")
    )
    text = written(partial)[0]["report.md"]
    top = text.partition("\n## ")[0].split("\n\n")
    assert any(part.startswith("> **Unfinished: 2 of 16 fits have not finished;") for part in top)
    assert "The study compared 3 networks and a logistic regression on" in text
    assert re.search(r"\| Images alone \|.*2 of 4 fits", text), "the missing arm keeps its row"
    alone = {name: record for name, record in records.items() if name.startswith("logistic")}
    partial = dataclasses.replace(
        stored,
        records=alone,
        predictions=stored.predictions.query("arm == 'logistic'"),
        history=stored.history.iloc[:0],
    )
    assert "No model is finished yet" in written(partial)[0]["report.md"]


def test_a_declared_prevalence_gives_predictive_values_and_net_benefit(pack):
    protocol = pack[0].settings.protocol.model_copy(update={"prevalence": 0.05})
    stored = dataclasses.replace(pack[0], settings=pack[0].settings.model_copy(update={"protocol": protocol}))
    documents, _ = written(stored)
    assert "net benefit are for the declared prevalence of 5 %; they" in documents["supplement.md"]
    assert "PPV" in documents["tables/operating_points.md"] and "tables/decision.md" in documents
    assert not (pack[2] / "tables" / "decision.md").exists() and not (pack[2] / "figures" / "decision.png").exists()
    middle = next(line for line in documents["tables/decision.md"].splitlines() if line.startswith("| 5"))
    assert abs(float(middle.split("|")[-2].strip().replace("−", "-"))) < 0.4, "recall all is 0 near the prevalence"


def test_imported_predictions_say_nothing_of_training(large):
    study = dataclasses.replace(
        large, environment=large.environment.changed(imported=ABOUT), history=large.history.iloc[:0]
    )
    documents, _ = written(study)
    text = documents["report.md"] + documents["supplement.md"]
    for word in ("AdamW", "EfficientNet", "efficientnet", "epoch", "fine-tuned", "## Training", "--seeds"):
        assert word not in text, word
    assert "mine.csv" in text and "AUTHOR MUST FILL" in text
    assert "column `seed`" in text


def test_table_one_by_hand(pack):
    stored, _, folder = pack
    table = pd.read_csv(folder / "tables" / "table_1.csv").set_index(["characteristic", "group"])
    patients = stored.cohort.images.drop_duplicates("patient_id")
    ages = patients.groupby("status")["age"]
    assert table.loc[("Age, years, mean (SD)", "Cancer"), "mean"] == pytest.approx(ages.mean()["Cancer"], rel=1e-12)
    one, other = (patients.loc[patients["label"] == label, "age"] for label in (1, 0))
    expected = (one.mean() - other.mean()) / ((one.var() + other.var()) / 2) ** 0.5
    assert table.loc[("Age, years, mean (SD)", "All"), "standardised_difference"] == pytest.approx(expected)


def test_errors_by_hand(pack):
    stored, evaluation, folder = pack
    found = evaluation.errors.set_index(["patient_id", "arm"])
    units = evaluation.scores.query("level == 'patient'")
    mine = units[(units["arm"] == "concat") & (units["patient_id"] == units["patient_id"].iloc[0])]
    wrong = ((mine["prob_calibrated"] >= 0.5) != (mine["label"] == 1)).mean()
    row = found.loc[(units["patient_id"].iloc[0], "concat")]
    assert (row["wrong"], row["mean_prob"]) == (wrong, pytest.approx(mine["prob_calibrated"].mean()))
    table = pd.read_csv(folder / "tables" / "errors.csv")
    assert table["distance"].is_monotonic_decreasing and len(table) == stored.cohort.n_patients


def test_a_report_is_current_until_anything_it_follows_from_changes(packed, tmp_path, monkeypatch):
    folder, sources = tmp_path / "report", {"cells/image/record.json": "0"}
    shutil.copytree(packed, folder)
    facts = manifest.read_manifest(folder) | {"sources": sources}
    (folder / manifest.MANIFEST).write_bytes(manifest.sealed(facts))
    made = facts["options"]

    def is_current(options=Options(archive=True), sources=sources, **other):
        return manifest.is_current(folder, sources, options, **{"n_replicates": made["n_replicates"]} | other)

    assert is_current()
    assert not is_current(Options()) and not is_current(seed=1) and not is_current(n_replicates=7)
    assert not is_current(sources=sources | {"cells/tabular/record.json": "1"})
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "program_digest", lambda: "another")
        assert not is_current()
    (folder / "report.md").write_text("edited", encoding="utf-8")
    assert not is_current()
