"""Each format of a table, on tables made by hand."""

import csv
import dataclasses
import io
import math
import re
import shutil
import subprocess
import zipfile

import docx
import openpyxl
import pandas as pd
import pytest
from docx.oxml.ns import qn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from study.reporting.tables import PaperTable, latex, latex_document, markdown, table_files, to_csv, word, workbook
from study.reporting.tables.latex import SPECIAL, escape, latex_paper
from study.reporting.tables.layout import GAP, alignment, decimally_aligned, grids
from study.reporting.tables.word import Picture
from study.reporting.tables.workbook import HEADER, SHARE, THREE, P, number_format

NOTICE = "synthetic & 100 % made up"
NAN = float("nan")


@pytest.fixture
def table():
    data = pd.DataFrame(
        {
            "arm": ["image", "=1+1", "odd|name_1"],
            "metric": ["roc_auc", "accuracy", "roc_auc"],
            "value": [0.1 + 0.2, 2 / 3, NAN],
            "e1_p": [0.0004, 0.5, NAN],
            "n_patients": [294, 59, 1000],
            "primary": [True, False, True],
        }
    )
    shown = pd.DataFrame(
        {
            "Arm": ["image", "=1+1", "odd|name_1"],
            "AUC": ["0.300 (0.200 to 0.400)", "−0.667 (−0.700 to 0.100)", "n/a"],
            "p": ["< 0.001", "0.500", "n/a"],
            "Note": ["100 % & ±δ ≥ #1", "[square] \\ {curly} $~^", "ok"],
        }
    )
    return PaperTable("hand", "By hand_1 & more", "Who: 50 % of n_1 within ±δ.", data, shown)


def wide(n_columns=30, n_rows=3):
    columns = {f"metric {i}": [f"{0.1 * r:.3f} (0.100 to 0.900)" for r in range(n_rows)] for i in range(n_columns)}
    shown = pd.DataFrame({"Arm": [f"arm {r}" for r in range(n_rows)]} | columns)
    return PaperTable("wide", "Wide", "Wide.", shown, shown)


def test_markdown_keeps_cells_apart(table):
    lines = markdown(table, NOTICE).splitlines()
    assert lines[0] == f"> **{NOTICE[0].upper()}{NOTICE[1:]}.**"
    lines = lines[2:]
    assert lines[0] == "**By hand_1 & more**" and lines[3] == "| --- | --- | --- | --- |"
    assert r"odd\|name_1" in lines[6] and lines[-1] == table.caption
    assert markdown(table, "").splitlines()[-1] == table.caption


def test_csv_reads_back_to_the_same_bits(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table, ""))))
    assert list(rows[0]) == list(table.data.columns)
    assert [row["arm"].removeprefix("'") for row in rows] == table.data["arm"].tolist()
    assert [row["value"] and float(row["value"]) for row in rows] == [0.1 + 0.2, 2 / 3, ""]
    assert "0.30000000000000004" in to_csv(table, "")
    assert pd.read_csv(io.StringIO(to_csv(table, NOTICE))).columns[-1] == f"notice: {NOTICE}"


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=20))
def test_any_number_survives_csv(values):
    data = pd.DataFrame({"value": values})
    written = to_csv(PaperTable("t", "t", "t", data, data.astype(str)), "").splitlines()[1:]
    assert [text.strip('"') and float(text) for text in written] == ["" if math.isnan(v) else v for v in values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 % #1 $2", r"a\_b \& 5~\% \#1 \$2"),
        ("−0.013", "$-$0.013"),
        ("±δ ≥ 2", r"$\pm$$\delta$ $\geq$ 2"),
        ("< 0.001", "$<$~0.001"),
        ("[x]", "{[}x{]}"),
        ("{~^\\}", r"\{\textasciitilde{}\textasciicircum{}\textbackslash{}\}"),
        ("a -- b", "a -{}- b"),
        ("Größe", "Größe"),
        ("乳 جراحة", "乳 جراحة"),
        ("\u2603", "?"),
        ("two\nlines", "two lines"),
    ],
)
def test_latex_escapes(text, expected):
    assert escape(text) == expected


def test_letters_that_pdflatex_lacks_ask_for_another_engine(table):
    assert "LuaLaTeX" not in latex(table, "") and r"\usepackage[T1]{fontenc}" in latex_document([table], "", "t")
    named = dataclasses.replace(table, shown=pd.DataFrame({"Arm": ["融合", "دمج"], "AUC": ["0.5", "0.6"]}))
    assert latex(named, "").startswith("% Needs LuaLaTeX or XeLaTeX, and a font that has its letters.\n")
    for text in (latex_paper([named], {}, "", "t"), latex_document([named], "", "融合")):
        assert text.startswith("% !TeX program = lualatex\n") and r"\usepackage{fontspec}" in text
        assert "fontenc" not in text and "融合" in text


def test_latex_has_caption_label_rules_and_the_notice(table):
    text = latex(table, NOTICE)
    for part in (
        r"\caption{By hand\_1 \& more}",
        r"\label{tab:hand}",
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"S[table-format=+1.3,table-space-text-post={~($-$0.700 to 0.100)}]",
        r"-0.667 {~($-$0.700 to 0.100)}",
        r"S[table-format=<1.3]",
        r"\textbf{Synthetic \& 100~\% made up.}",
        r"50~\% of n\_1 within $\pm$$\delta$.",
        r"\begin{table*}",
    ):
        assert part in text
    assert not set(text) & set("−±δ≥")
    assert text.startswith("% Needs \\usepackage{booktabs,siunitx,adjustbox}\n")
    numbered = latex(dataclasses.replace(table, number="S3"), NOTICE)
    assert numbered.startswith("% Table S3. Needs \\usepackage{booktabs,")


def test_latex_gives_panels_one_scale_comparisons_one_form_and_wide_figures_both_columns(table):
    panels = latex(wide(), "")
    assert panels.count(r"\begin{adjustbox}") == 1 and panels.count(r"\toprule") > 1
    chances = dataclasses.replace(table, shown=pd.DataFrame({"a": ["x", "y"], "P": ["< 0.01 / < 0.01", "0.50 / 0.50"]}))
    assert r"$<$~0.01 / $<$~0.01" in latex(chances, "")
    paper = latex_paper([], {"one": (89.0, False, "One."), "two": (183.0, True, "Two.")}, "", "t")
    assert paper.count(r"\begin{figure}") == paper.count(r"\end{figure}") == paper.count(r"\end{figure*}") == 1


def test_a_long_table_goes_over_pages_and_a_wide_one_into_panels():
    long = wide(n_columns=2, n_rows=80)
    assert r"\begin{longtable}" in latex(long, "") and r"\endhead" in latex(long, "")
    turns = latex(wide(n_rows=20), "")
    assert "longtable" not in turns and turns.count(r"\begin{table*}") == turns.count("continued}") + 1 > 1, "panels"
    text = latex(wide(), "")
    assert text.count(r"\begin{tabular}{@{}l") > 1 and text.count(r"\caption") == 1
    both = latex(wide(n_rows=40), "")
    assert both.count(r"\begin{longtable}") == both.count(r"\addtocounter{table}{-1}") + 1 > 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(table, tmp_path):
    every = " ".join(SPECIAL) + " ẞ \u2603 ?` !` -- --- ''"
    strange = PaperTable(
        "strange",
        every,
        every,
        table.data,
        pd.DataFrame({"a": [every, "[x", "*y"], "b": ["0·51", "12·4 (8·1–15·0)", "n/a"]}),
    )
    tables = [table, strange, wide(), PaperTable("long", "Long", "Long.", table.data, wide(8, 90).shown)]
    for path, data in table_files(tables, NOTICE, "A & B").items():
        place = tmp_path / path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path / "tables", capture_output=True, timeout=120)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log and "Missing character" not in log


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_tables_need_the_four_packages_alone_in_documents_of_one_and_two_columns(table, tmp_path, columns):
    tables = [PaperTable("long", "Long", "Long.", table.data, wide(2, 90).shown), table, wide()]
    body = "Text.\n\n".join(latex(one, NOTICE) for one in tables)
    head = rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,siunitx,longtable,adjustbox}}"
    (tmp_path / "paper.tex").write_text(f"{head}\n\\begin{{document}}\nText.\n\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_numbers_of_tables_that_are_there_are_references(table):
    first = dataclasses.replace(table, name="one", number="1", caption="As in Tables 1 and S2, and in Table S9.")
    second = dataclasses.replace(table, name="two", number="S2", caption="See Table 1.")
    files = table_files([first, second], "", "t")
    one = files["tables/one.tex"].decode()
    assert r"Tables~\protect\mmbcref{tab:one}{1} and \protect\mmbcref{tab:two}{S2}, and in Table~S9." in one
    assert one.count(r"\providecommand{\mmbcref}") == 1
    fields = docx.Document(io.BytesIO(files["tables.docx"])).element.iter(qn("w:instrText"))
    assert [field.text.split()[1] for field in fields if "REF" in field.text] == [
        "_Ref_Table_1",
        "_Ref_Table_S2",
        "_Ref_Table_1",
    ]


def test_latex_document_inputs_each_table(table):
    text = latex_document([table, wide()], NOTICE, "A & B")
    assert r"\input{hand.tex}" in text and r"\input{wide.tex}" in text and r"\title{A \& B}" in text
    assert text.startswith(r"\documentclass") and text.rstrip().endswith(r"\end{document}")


@given(st.integers(1, 30), st.integers(1, 3), st.integers(60, 200))
def test_panels_fit_and_lose_no_column(n_columns, n_keys, width):
    shown = wide(n_columns).shown
    n_keys = min(n_keys, shown.shape[1])
    panels = grids(shown, n_keys, width)
    headers = [[" ".join(lines) for lines in panel.header] for panel in panels]
    keys = list(shown.columns[:n_keys])
    assert all(header[:n_keys] == keys for header in headers)
    assert [name for header in headers for name in header[n_keys:]] == list(shown.columns[n_keys:])
    least = max(panels[0].widths) + sum(panels[0].widths[:n_keys]) + GAP * n_keys
    assert all(panel.width <= max(width, least) for panel in panels)
    cells = [" ".join(cell) for panel in panels for cell in panel.rows[0][n_keys:]]
    assert cells == shown.iloc[0, n_keys:].tolist()


def test_numbers_are_filled_up_to_one_width_so_that_their_points_align():
    column = [("8",), ("53.4 (11.1)",), ("25 (4.6)",), ("n/a",), ("−0.5",)]
    cells = [lines[0] for lines in decimally_aligned(column, "c")]
    assert [cell.translate(str.maketrans("", "", "\u2007\u2008")) for cell in cells] == [lines[0] for lines in column]
    numbers = [cell for cell in cells if cell != "n/a"]
    assert len({len(cell) for cell in numbers}) == 1
    assert {re.search("[.\u2008]", cell).start() for cell in numbers} == {2}
    assert decimally_aligned([("a",)], "l") == [("a",)]


def test_alignment():
    assert alignment(["0.5", "n/a", "< 0.001", "−1,234", "91.3 %"]) == "r"
    assert alignment(["0.5 (0.4 to 0.6)", "n/a", "not finished (3 of 10 cells)", "0.6 (0.5 to 0.7)"]) == "c"
    assert alignment(["better", "n/a"]) == "l" and alignment(["n/a", "n/a"]) == "c" and alignment([""]) == "l"


def test_excel_cells_are_the_numbers(table):
    book = openpyxl.load_workbook(io.BytesIO(workbook([table], NOTICE)))
    assert book.sheetnames == ["index", "Table 1", "hand"]
    assert [book["index"][cell].value for cell in ("A5", "C5")] == ["Table 1", "hand"]
    printed = [[cell.value for cell in row] for row in book["Table 1"].iter_rows(min_row=HEADER, max_col=4)]
    notes = [[None] * 4, [table.caption, None, None, None]]
    assert printed == [list(table.shown.columns), *table.shown.to_numpy().tolist(), *notes]
    assert book["Table 1"].cell(HEADER + 1, 3).alignment.horizontal == "right"
    sheet = book["hand"]
    assert (sheet["A1"].value, sheet["A2"].value) == (f"{table.title} (numbers)", NOTICE)
    assert sheet["A3"].hyperlink.target == "#'Table 1'!A1" and book["Table 1"]["A3"].hyperlink.target == "#'hand'!A1"
    assert [cell.value for cell in sheet[HEADER]][:6] == list(table.data.columns)
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=HEADER + 1, max_col=6)]
    assert rows[0] == ["image", "roc_auc", 0.1 + 0.2, 0.0004, 294, True]
    assert rows[1][:3] == ["=1+1", "accuracy", 2 / 3] and sheet.cell(HEADER + 2, 1).data_type == "s"
    assert rows[2][2:4] == ["n/a", "n/a"]
    formats = [sheet.cell(HEADER + row, column).number_format for row, column in ((1, 3), (2, 3), (1, 4), (1, 5))]
    assert formats == [THREE, SHARE, P, "#,##0"]
    numeric = [cell for row in sheet.iter_rows(min_row=HEADER + 1) for cell in row if type(cell.value) in (int, float)]
    assert numeric and all(cell.number_format != "General" for cell in numeric)
    assert sheet.freeze_panes == book["Table 1"].freeze_panes == "B5" and sheet.cell(HEADER, 1).font.bold


def test_columns_of_a_printed_sheet_are_as_wide_as_their_cells_and_break_their_names():
    shown = pd.DataFrame({"Model": ["image"], "Sensitivity at 90 % specificity [specificity achieved]": ["70.8 %"]})
    odd = PaperTable("odd", "T", "Notes.", shown, shown, n_keys=1)
    sheet = openpyxl.load_workbook(io.BytesIO(workbook([odd], "")))["Table 1"]
    assert sheet.column_dimensions["B"].width < 20 and sheet.row_dimensions[HEADER].height > 3 * 15
    assert sheet.cell(HEADER, 2).alignment.wrap_text and sheet.page_setup.orientation == "portrait"


def test_formats_follow_the_column():
    assert (
        number_format("roc_auc_low", "", 0.5) == THREE and number_format("specificity_achieved_high", "", 0.5) == SHARE
    )
    assert number_format("e2_p_holm", "", 0.5) == P and number_format("p_better", "", 0.5) == "0.00"
    assert number_format("n_fits", "", 10.0) == "#,##0" and number_format("difference", "", 0.1).startswith("+")


def test_word_cells_are_the_shown_text(table):
    document = docx.Document(io.BytesIO(word([table, wide(3)], NOTICE, "All tables")))
    first = document.tables[0]
    plain = str.maketrans("\n", " ", "\u2007\u2008")  # blanks that align numbers at their points
    rows = [[cell.text.translate(plain) for cell in row.cells] for row in first.rows]
    kept = table.shown.replace("100 %", "100\u00a0%", regex=True)
    assert rows == [list(kept.columns), *kept.to_numpy().tolist()]
    assert first.rows[0]._tr.trPr.find(qn("w:tblHeader")) is not None
    texts = [paragraph.text for paragraph in document.paragraphs]
    assert (
        "Table 1. By hand_1 & more" in texts
        and table.caption.replace("50 %", "50\u00a0%") in texts
        and texts[1].casefold() == f"{NOTICE}.".casefold()
        and "All tables" in texts
    )


def test_word_numbers_its_captions_by_fields_and_has_no_heading_for_them(table):
    tables = [dataclasses.replace(table, number=number) for number in ("1", "S1")]
    png = io.BytesIO()
    Image.new("RGB", (30, 20)).save(png, "PNG")
    document = docx.Document(
        io.BytesIO(word(tables, "", "t", [Picture(png.getvalue(), 89, "S2", "All of it (n = 1). More.")]))
    )
    captions = [paragraph for paragraph in document.paragraphs if paragraph.style.name == "Caption"]
    assert [one.text for one in captions] == [
        "Table 1. By hand_1 & more",
        "Table S1. By hand_1 & more",
        "Figure S2. All of it (n = 1). More.",
    ]
    fields = [element.text.split()[1] for one in captions for element in one._p.iter(qn("w:instrText"))]
    assert fields == ["Table", "Table_S", "Figure_S"]
    assert captions[0].paragraph_format.keep_with_next and not captions[2].paragraph_format.keep_with_next
    headings = [paragraph.text for paragraph in document.paragraphs if paragraph.style.name.startswith("Heading")]
    assert headings == ["Tables", "Figures"] and all(one.paragraph_format.keep_together for one in captions)
    assert document.inline_shapes[0]._inline.docPr.get("descr") == "All of it (n = 1)."
    assert " PAGE " in document.sections[-1].footer._element.xml
    assert {one.get(qn("w:val")) for one in document.styles.element.iter(qn("w:lang"))} == {"en-GB"}
    rows = [row for one in document.tables for row in one.rows]
    assert all(row._tr.trPr.find(qn("w:cantSplit")) is not None for row in rows)
    assert all(cell.paragraphs[0].paragraph_format.keep_with_next for row in rows for cell in row.cells)
    assert round(document.inline_shapes[0].width.mm) == 89


@pytest.mark.parametrize(("serif", "font"), [(False, "Arial"), (True, "Times New Roman")])
def test_word_has_the_font_of_the_journal_in_its_theme(table, serif, font):
    """Text takes its font from the theme, which leaves East Asian letters to the reader's fonts."""
    with zipfile.ZipFile(io.BytesIO(word([table], "", "A study", serif=serif))) as files:
        theme, styles, text = (
            files.read(f"word/{name}.xml").decode() for name in ("theme/theme1", "styles", "document")
        )
    assert set(re.findall(r'<a:latin typeface="([^"]*)"', theme)) == {font} and '<a:font script="Jpan"' in theme
    normal = styles.partition('w:styleId="Normal"')[2].partition("</w:style>")[0]
    assert "w:rFonts" not in normal + text and 'w:asciiTheme="minorHAnsi"' in styles


def test_wide_word_tables_lie_on_landscape_pages():
    narrow = wide(2)
    document = docx.Document(io.BytesIO(word([narrow, wide(9), narrow], "", "t")))
    assert [section.page_width > section.page_height for section in document.sections] == [False, True, False]
    assert len(docx.Document(io.BytesIO(word([wide(30)], "", "t"))).tables) > 1, "panels"


def test_office_files_hold_no_time_of_writing(table):
    for make in (lambda: workbook([table], NOTICE), lambda: word([table], NOTICE, "t")):
        assert make() == make()
        with zipfile.ZipFile(io.BytesIO(make())) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(2000, 1, 1, 0, 0, 0)}
            core = archive.read("docProps/core.xml").decode()
        assert core.count("2000-01-01T00:00:00Z") == core.count("<dcterms:") == 2
        assert "openpyxl" not in core and "python-docx" not in core


def test_control_characters_do_not_break_office_files(table):
    data = pd.DataFrame({"name": ["a\x07b"]})
    odd = PaperTable("odd", "Odd", "Odd.", data, data)
    assert openpyxl.load_workbook(io.BytesIO(workbook([odd], "")))["odd"].cell(HEADER + 1, 1).value == "ab"
    assert docx.Document(io.BytesIO(word([odd], "", "t"))).tables[0].cell(1, 0).text == "ab"
