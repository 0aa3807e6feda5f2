import base64
import hashlib
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from matplotlib.figure import Figure

from study.reporting.html.page import page

NOTICE = "synthetic phantom cohort, not clinical evidence"
CHROMIUM = shutil.which("chromium")
TEXT = """# A study

One sentence with [a part](report.md#results-and-more), [a file](tables/roc.csv) and <https://example.org/x>.

## Results and more

**Performance, patient level**

| Arm | AUC | p | Verdict |
| --- | --- | --- | --- |
| image | 0.614 (0.552 to 0.673) | < 0.001 | better |
| concat | −0.02 (−0.10 to 0.06) | 0.20 | not assessed |
| mine | n/a | 12.5 % | worse |
| other | 1,234 | 0.001 | worse |

Notes on the table.

![roc](figures/roc.png)

*ROC curves, patient level (n = 294). Thick: mean.*

## Results and more

![lost](figures/lost.png)

The text goes on.
"""


class Tree(HTMLParser):
    """Collects (tag, attributes) of every element, and the text inside scripts and table cells."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.script, self.cells, self.inside = [], "", [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "td", "th") else self.inside
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data):
        if self.inside == "script":
            self.script += data
        elif self.inside:
            self.cells[-1] += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def figures():
    axes = Figure(figsize=(89 / 25.4, 2)).subplots()
    axes.plot([0, 1], [0, 1])
    files = {}
    for kind in ("svg", "png"):
        file = io.BytesIO()
        axes.figure.savefig(file, format=kind, dpi=300)
        files[kind] = file.getvalue()
    return {"roc": files["svg"], "bitmap": files["png"]}


@pytest.fixture(scope="module")
def html(figures):
    return page("A study", TEXT, figures)


def test_nothing_is_loaded_from_elsewhere(html):
    tree = Tree(html)
    for _, attributes in tree.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert not {"srcset", "data", "action", "poster", "onclick", "onload", "background"} & set(attributes)
    assert not tree.all("link", "iframe", "object", "embed", "base", "form")
    assert "@import" not in html and "url(" not in html and "//# source" not in html
    outside = [a["href"] for a in tree.all("a") if re.match(r"\w+:", a["href"])]
    assert outside == ["https://example.org/x"]


def test_the_policy_allows_the_one_script_by_its_hash(html):
    tree = Tree(html)
    assert len(tree.all("script")) == 1
    policy = next(a["content"] for a in tree.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(tree.script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;") and f"script-src 'sha256-{digest}'" in policy


def test_names_from_outside_are_text(figures):
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    text = f"""# {attack}

[a](javascript:alert(3)) [b](vbscript:x)
[c](data:text/html;base64,PHNjcmlwdD4=) ![d](https://example.org/pixel.png) ![e](data:image/png;base64,AAAA)

**{attack}**

| {attack} | b |
| --- | --- |
| {attack} | `{attack}` |

![" onerror="alert(4)](figures/roc.png)

![x"><script>](figures/<b>.png)

*{attack}*
"""
    html = page(f"</title>{attack}", text, figures, notice='"}</style>' + attack)
    tree = Tree(html)
    assert len(tree.all("script")) == 1 and "alert(" not in tree.script
    assert all(not {"onerror", "onload"} & set(a) for _, a in tree.elements)
    assert all(a["src"].startswith("data:image/svg+xml,") for a in tree.all("img"))
    assert not [a for a in tree.all("a") if re.match("javascript|vbscript|data", a["href"])]
    assert attack in tree.cells[0] and len(tree.all("title")) == len(tree.all("style")) == 1


def test_figures_are_embedded_at_their_printed_size_and_missing_ones_marked(html, figures):
    images = Tree(html).all("img")
    (embedded,) = (unquote(a["src"].partition(",")[2]) for a in images)
    assert embedded.replace("'", '"') == figures["roc"].decode().replace("'", '"')
    assert images[0]["alt"] == "ROC curves, patient level (n = 294)"
    assert "The figure “lost” is not in this report." in html
    both = Tree(page("t", "![a](figures/roc.svg)\n\n![b](figures/bitmap.png)", figures)).all("img")
    assert [a["src"][:15] for a in both] == ["data:image/svg+", "data:image/png;"]
    assert [a["width"] for a in both] == [f"{1.4 * 89 / 25.4 * 96:.0f}"] * 2
    with pytest.raises(ValueError, match="figure 'roc' is neither SVG nor PNG"):
        page("t", TEXT, {"roc": b"GIF89a"})


def test_same_input_same_bytes(html, figures):
    assert page("A study", TEXT, dict(reversed(figures.items()))) == html


def test_ids_are_unique_and_links_find_them(html):
    tree = Tree(html)
    ids = [a["id"] for _, a in tree.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {"results-and-more", "results-and-more-1", "figure-roc", "table-performance-patient-level"} <= set(ids)
    inside = [a["href"][1:] for a in tree.all("a") if a["href"].startswith("#")]
    assert set(inside) <= set(ids) and inside.count("results-and-more") == 3, "contents, heading and the text's link"
    referred = [a[key] for _, a in tree.elements for key in ("aria-labelledby", "aria-describedby") if key in a]
    assert set(referred) <= set(ids)
    assert "page-main" in ids and "page-main-1" in page("t", "# page main", {})


def test_a_table_has_a_title_notes_heads_and_aligned_numbers(html):
    tree = Tree(html)
    assert len(tree.all("thead")) == len(tree.all("table")) == 1
    assert [a["scope"] for a in tree.all("th")] == ["col"] * 4 + ["row"] * 4
    assert [a.get("class") for a in tree.all("td")[:3]] == ["number", "number", None]
    figure = re.search(r'<figure class="table.*?</figure>', html, re.DOTALL)[0]
    assert (
        "Performance, patient level" in figure.split("<table")[0]
        and "Notes on the table." in figure.split("</table>")[1]
    )
    assert "<p>The text goes on.</p>" in html.split("</figure>")[-1], (
        "a paragraph below a figure is no caption by itself"
    )


def test_brackets_do_not_break_the_alignment_of_numbers():
    html = page("t", "| Arm | Sensitivity |\n|---|---|\n| image | 70.8 % (60.1 to 79.7) [88.6 %] |\n", {})
    assert (
        '<td class="number">70.8 % <span class="ci">(60.1&nbsp;to 79.7)</span> <span class="ci">[88.6 %]</span>' in html
    )


def test_a_wide_figure_shows_its_panels_one_below_the_other_in_a_tall_frame(figures):
    svg = (
        figures["roc"].decode().replace("<svg ", '<svg data-narrow="100 140;0 0 100 60 0 0 1;90 0 50 60 0 70 0.5" ', 1)
    )
    html = page("t", "![roc](figures/roc.png)", {"roc": svg.encode()})
    (image,) = Tree(html).all("img")
    assert image["class"] == "stacked" and image["style"].startswith("--narrow: 0.714; --wide: 471px; --ratio: 1.75")
    shown = unquote(image["src"])
    assert shown.count("<path") == svg.count("<path") and shown.count("<use href='#whole'") == 2
    assert "<svg x='0' y='70' width='25.00' height='30.00' viewBox='90 0 50 60'>" in shown
    assert "@media(max-aspect-ratio:1119/1000)" in shown, "between both ratios"


def test_a_wide_table_is_a_card_for_each_row_on_a_phone():
    wide = page(
        "t", '| Arm | AUC & "all" | ' + " | ".join("bcdef") + " |\n" + "|---" * 7 + "|\n" + "| 0.873 " * 7 + "|", {}
    )
    (table,) = Tree(wide).all("table")
    assert "; --h1: 'Arm'; --h2: 'AUC \\26  \\22 all\\22 '; --h3: 'b'" in table["style"]
    assert ' cards"' in wide and "td:nth-child(7) { --label: var(--h7); }" in wide
    assert ' cards"' not in page("t", "| Arm | AUC |\n|---|---|\n| image | 0.873 (0.814 to 0.915) |", {})


def test_a_table_without_a_title_is_called_by_its_heading():
    html = page("t", "## Items\n\n| a | b |\n| --- | ---: |\n| 1 | AUTHOR MUST FILL |\n\nNext.", {})
    assert "Items: table</figcaption>" in html and '<td class="todo">' in html
    assert html.index("</figure>") < html.index("<p>Next.</p>")


def test_printed_tables_fit_the_page():
    def kind(n_columns, cell):
        row = " | ".join([cell] * n_columns)
        html = page("t", f"| {row} |\n|{' --- |' * n_columns}\n| {row} |\n", {})
        return re.search(r'class="table (whole|broad(?: crammed)?)[\w ]*" id', html)[1], float(
            re.search(r"--printed: ([\d.]+)pt", html)[1]
        )

    assert kind(3, "0.614 (0.552 to 0.673)") == ("whole", 8.0)
    name, size = kind(7, "0.614 (0.552 to 0.673)")
    assert name == "whole" and 5.5 <= size < 8
    assert kind(12, "0.614 (0.552 to 0.673)")[0] == "broad"
    assert kind(20, "w" * 60) == ("broad crammed", 3.5)


def test_the_notice_is_on_the_page_once_and_at_the_foot_of_every_printed_one(figures):
    html = page("t", TEXT, figures, NOTICE)
    warning = f"<strong>{NOTICE.capitalize()}.</strong>"
    assert html.count(warning) == 1 and html.index("<h1") < html.index("<blockquote><p>" + warning)
    said = TEXT.replace("\nOne sentence", f"\n> **{NOTICE}.**\n\nOne sentence")
    assert page("t", said, figures, NOTICE).count("<blockquote>") == 1
    assert f'content: "{re.sub("[^a-z ,]", lambda c: f"{chr(92)}{ord(c[0]):x} ", NOTICE)}"' in html


def test_an_empty_report_is_a_page():
    tree = Tree(page("Nothing & nobody", "", {}))
    assert len(tree.all("h1")) == 1 and not tree.all("table", "img")
    assert "<h1>Nothing &amp; nobody</h1>" in page("Nothing & nobody", "Text.", {})


@pytest.mark.slow
def test_the_pack_of_a_study(evaluated, packed):
    """Everything today's report is made of arrives: its tables with titles and notes, its figures, its notice."""
    stored, _ = evaluated
    figures = {path.stem: path.read_bytes() for path in (packed / "figures").glob("*.png")}
    text = (packed / "report.md").read_text() + "\n" + (packed / "supplement.md").read_text()
    html = page(stored.name, text, figures, stored.cohort.notice)
    tree = Tree(html)
    assert len(tree.all("table")) == sum(line.startswith("| --- |") for line in text.splitlines())
    assert len(tree.all("img")) == len(figures) and 'class="missing"' not in html
    headings = sum(line.startswith("**Table ") for line in text.splitlines())
    assert html.count('<figcaption class="title"') == headings == html.count('<p class="note">')
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    lines = [re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", line) for line in lines]  # links
    shown = [" ".join(cell.split()) for cell in tree.cells]
    assert shown == [cell.strip() for line in lines for cell in line.replace("**", "").strip("|").split("|")]


SCRIPTED = """
const heads = [...document.querySelectorAll(".sort")];
const column = (at) => [...document.querySelectorAll("tbody tr")].map((row) => row.cells[at].textContent).join(";");
const seen = [];
for (const at of [1, 1, 1, 2]) { heads[at].click(); seen.push(column(at) + "=" + heads[at].parentNode.ariaSort); }
document.querySelector(".enlarge").click();
seen.push(document.documentElement.scrollWidth <= innerWidth && innerWidth < 640);
for (const box of document.querySelectorAll(".scroll, .sheet")) seen.push(box.scrollWidth <= box.clientWidth);
seen.push(heads.length, document.querySelector("dialog").open, document.querySelector(".copy").textContent);
document.body.dataset.seen = seen.join("|");
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(html, tmp_path):
    def browse(text, *flags):
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        done = subprocess.run([*command, *flags, file.as_uri()], capture_output=True, text=True, timeout=120)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    logged = ("--enable-logging=stderr", "--v=0")
    assert browse(html.replace("</body>", "<script>1</script></body>"), *logged, "--dump-dom")[1], "the policy holds"
    _, complaints = browse(html, *logged, "--print-to-pdf=" + str(tmp_path / "page.pdf"))
    assert not complaints and len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())) > 0
    open_page = re.sub(r"<meta http-equiv=.*?>", "", html).replace("</body>", f"<script>{SCRIPTED}</script></body>")
    dom, complaints = browse(open_page, "--window-size=390,844", *logged, "--dump-dom", "--virtual-time-budget=2000")
    assert not complaints
    seen = (
        re.search(r'data-seen="(.*?)"', dom)[1]
        .replace("&lt;", "<")
        .replace("\xa0", " ")
        .replace("&nbsp;", " ")
        .split("|")
    )
    up, down = (
        "−0.02 (−0.10 to 0.06);0.614 (0.552 to 0.673);1,234;n/a",
        "1,234;0.614 (0.552 to 0.673);−0.02 (−0.10 to 0.06);n/a",
    )
    assert seen[:2] == [f"{up}=ascending", f"{down}=descending"]
    assert seen[2] == "0.614 (0.552 to 0.673);−0.02 (−0.10 to 0.06);n/a;1,234=none"
    assert seen[3:] == [
        "< 0.001;0.001;0.20;12.5 %=ascending",
        *["true"] * 4,  # neither page, table nor figures are wider than a phone
        "3",  # not the verdicts
        "true",
        "Copy table",
    ]
