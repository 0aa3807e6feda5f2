"""No line of a table is lost, whatever its encoding, delimiter, quotes and sheets."""

import openpyxl
import pytest

from mmbc.data.tables.text_table import read_table
from mmbc.errors import CohortError

HEADER = ["image", "patient_id", "label", "age", "remark"]
ROWS = [[f"im{n}.png", f"P{n // 2:02d}", str(n // 2 % 2), str(40 + n), "ok"] for n in range(12)]


def text_of(delimiter=",", changes=None, header=HEADER):
    """Lines of a table; `changes` replaces whole lines by number, the header being line 1."""
    lines = [delimiter.join(cells) for cells in [header, *ROWS]]
    for number, line in (changes or {}).items():
        lines[number - 1] = line
    return "\n".join(lines) + "\n"


def load(tmp_path, content, name="made.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def error(tmp_path, content, name="made.csv"):
    with pytest.raises(CohortError) as caught:
        load(tmp_path, content, name)
    assert name in str(caught.value), "the file is named"
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({6: 'im4.png,P02,0,44,"unclear'}, 'line 6 opens a quote (") that is not closed'),
        ({6: 'im4.png,P02,0,44,"unclear', 9: 'im7.png,P03,1,47,clear"'}, 'line 6 opens a quote (") that is closed in'),
        ({6: 'im4.png,P02,0,44,"unclear', 9: 'im7.png,P03,1,47,"a, b"'}, "line 6 opens a quote"),
        ({6: 'im4.png,"P02,0,44,ok', 7: 'im5.png,P02",0,45,ok'}, 'line 6 opens a quote (") that is closed in line 7'),
        ({13: 'im11.png,P05,1,51,"'}, "line 13 opens a quote"),
    ],
)
def test_a_quote_that_swallows_lines_is_named(tmp_path, changes, words):
    assert words in error(tmp_path, text_of(changes=changes))


@pytest.mark.parametrize(
    ("delimiter", "cell", "expected"),
    [
        (",", '"seen twice\nby two readers"', "seen twice\nby two readers"),
        (",", '"mass, calcifications\n\nsee also: scar, clip, oedema, node, skin"', None),
        (";", '"mass, calcifications,\nscar, clip, oedema, node"', None),
        (",", '"a ""quoted"" word"', 'a "quoted" word'),
        (",", '5" from the nipple', '5" from the nipple'),
        (",", ' "left, outer"', "left, outer"),
    ],
)
def test_comments_with_breaks_and_quotes_are_read(tmp_path, delimiter, cell, expected):
    line = delimiter.join([*ROWS[4][:4], cell])
    table = load(tmp_path, text_of(delimiter, {6: line}))
    assert table.shape == (12, 5) and table["patient_id"].tolist() == [row[1] for row in ROWS]
    assert expected is None or table["remark"][6] == expected
    n_lines = 13 + cell.count("\n")
    assert table.attrs["extent"] == f"12 rows were read from the {n_lines} lines of made.csv."


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["made.csv", "made.txt", "made.tsv"])
def test_the_delimiter_is_the_one_that_fits_every_row(tmp_path, delimiter, name):
    others = "".join(sorted({",", ";", "\t", "|"} - {delimiter}))
    header = [*HEADER[:4], f"remark (own {others * 3} x)"]
    table = load(tmp_path, text_of(delimiter, header=header), name)
    assert table.shape == (12, 5) and list(table.columns[:4]) == HEADER[:4]


def test_decimal_commas_between_semicolons_and_the_delimiter_that_excel_is_told(tmp_path):
    lines = [";".join([*row[:3], row[3] + ",5", row[4]]) for row in ROWS]
    table = load(tmp_path, "\n".join([";".join(HEADER), *lines]))
    assert table["age"].tolist() == [f"{40 + n},5" for n in range(12)]
    told = load(tmp_path, "sep=;\n" + text_of(";"))
    assert told.shape == (12, 5) and told.index[0] == 3, "rows are numbered as in the file"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({5: "im3.png,P01,1"}, "the header (line 1) has 5 cells, but line 5 has 3"),
        ({5: "im3.png,P01,1,43,a, b"}, "line 5 has 6 (delimiter: comma). Is a comma part of a text"),
        ({13: "Total: 12"}, "line 13 has 1"),
        ({1: "patient_id,label,age,remark"}, "Does the header lack the name of the first column?"),
    ],
)
def test_ragged_rows_name_their_line(tmp_path, changes, words):
    assert words in error(tmp_path, text_of(changes=changes))


def test_empty_cells_beyond_the_header_do_no_harm(tmp_path):
    table = load(tmp_path, text_of().replace("ok\n", "ok,\n"))
    assert table.shape == (12, 5) and table["remark"].eq("ok").all()


def test_encodings(tmp_path):
    text = text_of().replace("ok", "Müller, é乳".replace(", ", " "))
    expected = load(tmp_path, text)
    for encoding in ("utf-8-sig", "utf-16"):
        assert load(tmp_path, text.encode(encoding)).equals(expected)
    assert load(tmp_path, text.replace("\n", "\r\n")).equals(expected)
    assert load(tmp_path, text.replace("\n", "\r")).equals(expected)
    assert "line 2 is not UTF-8" in error(tmp_path, text_of().replace("ok", "Mül").encode("latin-1"))
    assert "line 1 holds a NUL byte; it looks like UTF-16" in error(tmp_path, text_of().encode("utf-16-le"))


@pytest.mark.parametrize("character", ["\0", "\x1a", "\x07"])
def test_characters_that_no_text_has_are_named_by_line(tmp_path, character):
    assert "line 5 holds" in error(tmp_path, text_of(changes={5: f"im3.png,P{character}01,1,43,ok"}))


def test_a_second_header_is_a_second_table(tmp_path):
    for gap in ("", "\n"):
        assert f"row {14 + bool(gap)} names columns again" in error(tmp_path, text_of() + gap + text_of())


def test_an_index_without_a_name_is_no_obstacle(tmp_path):
    lines = text_of().splitlines()
    counted = [f"{number - 1 if number else ''},{line}" for number, line in enumerate(lines)]
    table = load(tmp_path, "\n".join(counted))
    assert list(table.columns) == ["Unnamed: 0", *HEADER]
    named = [f"{line[:3] if number else ''},{line}" for number, line in enumerate(lines)]
    assert "column 1 has values but no name" in error(tmp_path, "\n".join(named))


def workbook(tmp_path, sheets):
    """Write a workbook of sheets: name -> rows; a name that begins with a dot is hidden."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name.removeprefix("."))
        sheet.sheet_state = "hidden" if name.startswith(".") else "visible"
        for row in rows:
            sheet.append(row)
    book.save(tmp_path / "made.xlsx")
    return tmp_path / "made.xlsx"


ALL = [HEADER, *ROWS]
NOTES = [["Notes"], ["Read by two radiologists"], ["and a third"]]
NEEDED = ("image", "patient_id", "label")


@pytest.mark.parametrize(
    ("sheets", "named"),
    [
        ({"2022": ALL[:5], "2023": [HEADER, *ROWS[4:]]}, ["'2022' (4 rows)", "'2023' (8 rows)", "data.sheet=2022"]),
        ({".old": ALL, "new": ALL[:5]}, ["'old' (hidden, 12 rows)", "'new' (4 rows)"]),
        ({"a": ALL, "b": [["Image", "PatID", "Label"], *(row[:3] for row in ROWS)]}, ["'a'", "'b'"]),
        ({"a": NOTES, "b": NOTES}, ["'a'", "'b'"]),
    ],
)
def test_several_sheets_with_tables_are_named(tmp_path, sheets, named):
    path = workbook(tmp_path, sheets)
    with pytest.raises(CohortError, match="several sheets hold a table") as caught:
        read_table(path, needed=NEEDED)
    assert all(words in str(caught.value) for words in named), str(caught.value)
    last = list(sheets)[-1]
    assert len(read_table(path, sheet=last, needed=NEEDED)) == len(sheets[last]) - 1


@pytest.mark.parametrize("sheets", [{"t": ALL}, {".Notes": NOTES, "t": ALL}, {"t": ALL, "x": []}, {"x": [], ".t": ALL}])
def test_one_table_among_notes_is_read(tmp_path, sheets):
    table = read_table(workbook(tmp_path, sheets), needed=NEEDED)
    assert len(table) == 12 and table.attrs["extent"].startswith("12 rows were read from sheet 't' of made.xlsx")
    assert ("not read: sheet 'Notes' (hidden, 2 rows)" in table.attrs["extent"]) == (".Notes" in sheets)


def test_two_tables_on_one_sheet_and_an_unknown_sheet(tmp_path):
    path = workbook(tmp_path, {"t": [*ALL, [], HEADER, *ROWS]})
    with pytest.raises(CohortError, match="row 15 names columns again"):
        read_table(path, needed=NEEDED)
    with pytest.raises(CohortError, match="has no sheet 'T2'"):
        read_table(path, sheet="T2")
