"""A report is what follows from its predictions: it passes as written, and each kind of tampering is found."""

import json
import shutil
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from docx import Document
from typer.testing import CliRunner

from mmbc.errors import StudyError
from mmbc.files import file_digest
from study import verify as command
from study.records.stored_study import load_study
from study.reporting import verification
from study.reporting.differences import differences, same
from study.reporting.manifest import Options, sealed
from study.reporting.pack import write_pack
from study.reporting.verification import verify
from tests.study.reporting.conftest import few_figures


@pytest.fixture(scope="module", autouse=True)
def figures_of_the_pack():
    with few_figures():
        yield


@pytest.fixture
def copy(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "copy")


def replaced(path, old, new):
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, 1))


def auc(folder):
    return json.loads((folder / "numbers.json").read_text())["auc.concat"]


def better(text):
    """Return an AUC's text with its first digit behind the point raised or lowered."""
    return text.replace("0.", "0.9", 1)[: len(text)] if not text.startswith("0.9") else text.replace("0.9", "0.1", 1)


def edit_report(folder):
    text = auc(folder)["text"]
    replaced(folder / "report.md", text, better(text))


def edit_supplement(folder):
    line = next(
        line
        for line in (folder / "supplement.md").read_text().splitlines()
        if line.startswith("| Images + clinical data, concatenated | 1 |")
    )
    replaced(folder / "supplement.md", line, line.replace("0.", "0.9", 1))


def edit_verdict(folder):
    replaced(folder / "tables" / "comparisons.md", "not assessed", "better")


def edit_csv(folder):
    path = folder / "tables" / "main.csv"
    frame = pd.read_csv(path)
    frame.loc[2, "roc_auc"] += 1e-6
    frame.to_csv(path, index=False)


def edit_latex(folder):
    text = auc(folder)["text"].partition(" ")[0]
    replaced(folder / "tables" / "main.tex", text, better(text))


def edit_macro(folder):
    text = auc(folder)["text"].partition(" ")[0]
    replaced(folder / "numbers.tex", f"{{{text}}}", f"{{{better(text)}}}")


def edit_numbers(folder):
    path = folder / "numbers.json"
    numbers = json.loads(path.read_text())
    numbers["auc.concat"]["value"] += 1e-6
    path.write_text(json.dumps(numbers))


def edit_excel(folder):
    path = folder / "tables.xlsx"
    book = openpyxl.load_workbook(path)
    cell = next(c for row in book["main"].iter_rows() for c in row if isinstance(c.value, float))
    cell.value += 0.01
    book.save(path)


def edit_word(folder):
    path = folder / "tables.docx"
    document = Document(str(path))
    cell = next(c for table in document.tables for row in table.rows for c in row.cells if c.text.startswith("0."))
    cell.paragraphs[0].runs[0].text = better(cell.text)
    document.save(str(path))


def edit_html(folder):
    text = auc(folder)["text"]
    replaced(folder / "report.html", text.partition(" ")[0], better(text).partition(" ")[0])


def drop_a_row(folder):
    path = folder / "tables" / "per_fold.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def drop_a_table(folder):
    (folder / "tables" / "calibration.csv").unlink()


def edit_figure_numbers(folder):
    path = folder / "figures" / "contrasts.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("0.", "0.9", 1)
    path.write_text("\n".join(lines) + "\n")


def swap_a_figure(folder):
    shutil.copy(folder / "figures" / "contrasts.png", folder / "figures" / "main.png")


def edit_svg_text(folder):
    path = folder / "figures" / "main.svg"
    text = auc(folder)["text"].partition(" ")[0]
    replaced(path, text, better(text))


def edit_methods(folder):
    replaced(folder / "methods.tex", "2 folds", "5 folds")


def edit_checklist(folder):
    path = folder / "checklists" / "tripod_ai_2024.csv"
    replaced(path, "AUTHOR MUST FILL", "reported")


def edit_logits_and_digest(folder):
    """Predictions changed with all digests put right: then no number follows from them any more."""
    path = folder / "study" / "predictions.parquet"
    rows = pd.read_parquet(path)
    rows.loc[rows["arm"] == "concat", "logit"] *= -1
    rows.to_parquet(path, index=False)
    digests = json.loads((folder / "study" / "archive.json").read_text())
    digests["predictions.parquet"] = file_digest(path)
    (folder / "study" / "archive.json").write_text(json.dumps(digests))


TAMPERINGS = {
    edit_report: "report.md",
    edit_supplement: "supplement.md",
    edit_verdict: "tables/comparisons.md",
    edit_csv: "tables/main.csv",
    edit_latex: "tables/main.tex",
    edit_macro: "numbers.tex",
    edit_numbers: "numbers.json",
    edit_excel: "tables.xlsx",
    edit_word: "tables.docx",
    edit_html: "report.html",
    drop_a_row: "tables/per_fold.csv",
    drop_a_table: "tables/calibration.csv",
    edit_figure_numbers: "figures/contrasts.csv",
    swap_a_figure: "figures/main.png",
    edit_svg_text: "figures/main.svg",
    edit_methods: "methods.tex",
    edit_checklist: "checklists/tripod_ai_2024.csv",
    edit_logits_and_digest: "pack.json",
}


def once(function, key):
    """Return the function with its results kept by a key of its arguments."""
    kept = {}

    def call(*arguments, **options):
        found = key(*arguments)
        if found not in kept:
            kept[found] = function(*arguments, **options)
        return kept[found]

    return call


@pytest.fixture(scope="module")
def kept():
    """Steps of a verification, each taken once: the expected report is made once, and tampering compared with it."""
    return {
        "evaluate": once(verification.evaluate, lambda study: study.predictions["logit"].to_numpy().tobytes()),
        "gather_content": once(verification.gather_content, lambda study, evaluation, options: id(evaluation)),
        "text_files": once(verification.text_files, lambda content, options: id(content)),
        "draw": once(verification.draw, lambda drawing, options: id(drawing)),
    }


@pytest.fixture
def expected(kept, monkeypatch):
    for name, step in kept.items():
        monkeypatch.setattr(verification, name, step)


@pytest.mark.slow
def test_a_report_passes_as_written_wherever_it_lies(copy):
    done = CliRunner().invoke(command.app, [str(copy)])
    assert done.exit_code == 0 and "every number follows from its predictions" in " ".join(done.output.split()), (
        done.output
    )


BATCHES = (
    [tamper for tamper in TAMPERINGS if tamper not in (swap_a_figure, edit_svg_text, edit_logits_and_digest)],
    [swap_a_figure, edit_svg_text],
    [edit_logits_and_digest],
)
"""Tamperings with different files are tried together: a report is recomputed three times, not eighteen."""


@pytest.fixture(scope="module")
def found(packed, kept, tmp_path_factory):
    """Tampering -> the disagreements of its batch."""
    disagreements = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, step in kept.items():
            patch.setattr(verification, name, step)
        for number, batch in enumerate(BATCHES):
            folder = shutil.copytree(packed, tmp_path_factory.mktemp("tampered") / str(number))
            for tamper in batch:
                tamper(folder)
            disagreements |= dict.fromkeys(batch, verify(folder))
    return disagreements


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_tampering_is_found_and_named(found, tamper):
    assert TAMPERINGS[tamper] in {disagreement.file for disagreement in found[tamper]}


def test_a_disagreement_is_named_by_its_place_and_nothing_else_is(found):
    by_file = {}
    for disagreement in found[edit_csv]:
        by_file.setdefault(disagreement.file, []).append(disagreement.where)
    assert by_file["tables/main.csv"] == ["row 4, column 'roc_auc'"] and by_file["numbers.json"] == ["auc.concat/value"]
    assert set(by_file) == {TAMPERINGS[tamper] for tamper in BATCHES[0]}
    edited = {disagreement.file for disagreement in found[edit_logits_and_digest]}
    assert {"report.md", "numbers.json", "tables/main.csv", "tables.xlsx"} <= edited


def test_the_exit_code_says_what_happened(copy, expected):
    edit_csv(copy)
    done = CliRunner().invoke(command.app, [str(copy)])
    assert done.exit_code == 1 and "tables/main.csv, row 4, column 'roc_auc': 0." in " ".join(done.output.split())
    (copy / "study" / "folds.json").write_text("{}")
    done = CliRunner().invoke(command.app, [str(copy)])
    said = " ".join(done.output.split())
    assert done.exit_code == 1 and "was changed after the archive was written" in said and "- study/folds.json," in said


def test_nothing_to_verify_is_told_apart_from_what_differs(finished_study, evaluated, tmp_path):
    folder = tmp_path / "finished"
    write_pack(*evaluated, folder, Options(figures=False))
    done = CliRunner().invoke(command.app, [str(folder), "--results", str(tmp_path / "none")])
    assert done.exit_code == 2 and "Say where the study lies with --study FOLDER" in " ".join(done.output.split())
    (folder / "methods.md").unlink()
    done = CliRunner().invoke(command.app, [str(folder), "--results", str(tmp_path / "none")])
    assert done.exit_code == 1 and "methods.md" in done.output, "the files can be compared all the same"
    for content in (b"{}", b"no JSON", None):
        (folder / "pack.json").unlink() if content is None else (folder / "pack.json").write_bytes(content)
        assert [d.file for d in verify(folder)] == ["pack.json"]
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nowhere"):
        with pytest.raises(StudyError, match="is no report of this program"):
            verify(tmp_path / place)


@pytest.mark.slow
def test_the_study_it_was_made_from_will_do_too(copy, finished_study):
    shutil.rmtree(copy / "study")
    assert verify(copy, finished_study.folder) == []


def test_figures_are_drawn_again_where_asked(copy, expected):
    swap_a_figure(copy)
    facts = json.loads((copy / "pack.json").read_text())
    facts["files"]["figures/main.png"] = facts["files"]["figures/contrasts.png"]
    (copy / "pack.json").write_text(json.dumps(facts))
    assert {d.file for d in verify(copy, redraw=True)} == {"figures/main.png", "pack.json"}
    (copy / "pack.json").write_bytes(sealed(facts))
    assert {d.file for d in verify(copy, redraw=True)} == {"figures/main.png"}
    facts["made_with"]["matplotlib"] = "1.0"
    (copy / "pack.json").write_text(json.dumps(facts))
    with pytest.raises(StudyError, match=r"was made with matplotlib 1\.0"):
        verify(copy, redraw=True)


def test_cells_are_the_same_up_to_the_last_digits_of_full_precision():
    assert same(0.1 + 0.2, 0.3) and same("0.30000000000000004", "0.3") and same("a", "a") and same("nan", "nan")
    assert not same("0.3001", "0.3") and not same("0.3", "") and not same(None, 0.0) and not same(True, 1.5)
    lines = list(differences("x.md", b"a\nthe AUC was 0.71\nc\n", b"a\nthe AUC was 0.61\nc\n"))
    assert [(d.where, d.found, d.expected) for d in lines] == [("line 2", "the AUC was 0.71", "the AUC was 0.61")]
    (broken,) = differences("x.xlsx", b"no zip", b"neither")
    assert broken.where == "the whole file" and "cannot be read" in broken.found


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def without_predictions(monkeypatch):
    """Let no predictions be read: what is named then was found by the files alone."""

    def nothing(place):
        raise StudyError("not read here")

    monkeypatch.setattr(verification, "load_study", nothing)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.exhaustive
def test_an_edit_of_any_file_of_a_report_is_found_and_names_it(copy, monkeypatch):
    without_predictions(monkeypatch)
    names, place = files_of(copy), str(copy / "study")
    assert {"pack.json", "report.html", "figures/main.pdf", "study/cohort.parquet", "study/archive.json"} < set(names)
    assert {d.file for d in verify(copy)} == {place}
    for name in names:
        kept = (copy / name).read_bytes()
        for edit in (flip, Path.unlink, lambda path: path.write_bytes(path.read_bytes() + b"\n")):
            edit(copy / name)
            found = {d.file for d in verify(copy)}
            assert name in found and (name == "pack.json" or found <= {name, place}), name
            (copy / name).write_bytes(kept)
    for folder in {Path(name).parent for name in names} | {Path("new")}:
        (copy / folder).mkdir(exist_ok=True)
        for name in ("foreign.csv", ".hidden"):
            (copy / folder / name).write_text("x")
            assert {d.file for d in verify(copy)} == {(folder / name).as_posix(), place}
            (copy / folder / name).unlink()
    done = CliRunner().invoke(command.app, [str(copy)])
    assert done.exit_code == 1, "predictions that cannot be evaluated do not pass"


def test_a_number_of_any_table_is_found_even_where_all_digests_are_put_right(copy, expected):
    """Whoever writes new digests has only the predictions left to agree with."""
    changed = {}
    for path in sorted((copy / "tables").glob("*.csv")):
        frame = pd.read_csv(path)
        numbers = [c for c in frame.select_dtypes("float") if frame[c].notna().any()]
        if numbers:
            place = (frame[numbers[0]].first_valid_index(), numbers[0])
            frame.loc[place] += 0.01
            frame.to_csv(path, index=False)
            changed[f"tables/{path.name}"] = place
    facts = json.loads((copy / "pack.json").read_text())
    facts["files"] |= {name: file_digest(copy / name) for name in changed}
    (copy / "pack.json").write_bytes(sealed(facts))
    assert len(changed) > 10 and {d.file for d in verify(copy)} == set(changed)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_edit_of_any_file_of_the_study_is_found_and_names_it(evaluated, finished_study, tmp_path, monkeypatch):
    place = shutil.copytree(finished_study.folder, tmp_path / "results" / "finished")
    (place / ".lock").touch()
    study = load_study(place)
    write_pack(study, evaluated[1], tmp_path / "finished", Options(figures=False))
    assert verify(tmp_path / "finished", place) == []
    (place / "cohort.json").write_text((place / "cohort.json").read_text() + "\n")
    assert f"{place}/cohort.json" in {d.file for d in verify(tmp_path / "finished", place)}
    shutil.copy(finished_study.folder / "cohort.json", place)
    without_predictions(monkeypatch)
    names = [name for name in files_of(place) if name != ".lock"]
    assert {"study.toml", "audit.json", "cells/concat.r0.f0.s0/model.safetensors"} < set(names)
    for name in names:
        kept = (place / name).read_bytes()
        for edit in (flip, Path.unlink):
            edit(place / name)
            found = {d.file for d in verify(tmp_path / "finished", results=tmp_path / "results")}
            assert found == {f"{place}/{name}", str(place)}
            (place / name).write_bytes(kept)
