import re
from dataclasses import replace
from pathlib import Path

import pytest

import mmbc
from mmbc.errors import ConfigError
from study.records.environment import Environment, Imported
from study.reporting.facts import bibliography as bib
from study.reporting.figures.journals import JOURNALS

ROOT = Path(__file__).resolve().parents[3]
REQUIRED = {
    "article": ("author", "title", "journal", "volume", "pages", "year"),
    "inproceedings": ("author", "title", "booktitle", "year"),
    "incollection": ("author", "title", "booktitle", "publisher", "year"),
    "book": ("author", "title", "publisher", "year"),
    "misc": ("author", "title", "howpublished", "year"),
    "software": ("author", "title", "version", "year"),
}
"""Fields that each type of entry must have."""


@pytest.mark.parametrize("key", sorted(bib.works()))
def test_every_entry_is_complete(key):
    work = bib.works()[key]
    assert set(REQUIRED[work["type"]]) <= set(work)
    assert work["title"].count("{") == work["title"].count("}")
    assert re.fullmatch(r"10\.\d{4,5}/\S+", work.get("doi", "10.1234/x"))
    assert str(work["year"]) in key or key == bib.OWN
    assert all(
        "," in person or person in ("others", "{The mmbc maintainers}") for person in work["author"].split(" and ")
    )


def test_the_programs_own_entry_agrees_with_citation_cff():
    text = (ROOT / "CITATION.cff").read_text()
    own = bib.works()[bib.OWN]
    assert f'title: "{own["title"]}"' in text and f"version: {own['version']}" in text
    assert f"date-released: {own['year']}" in text and own["version"] == mmbc.__version__


def test_citations_are_found_in_order_and_once():
    texts = ["A [@delong1988; @holm1979] and B [@delong1988].", "C [@wilson1927], no [bracket]."]
    assert bib.cited_keys(texts) == ["delong1988", "holm1979", "wilson1927"]


TEXTS = (
    "A test [@platt1999], others [@delong1988; @sun2014] (small [@obuchowski1997]).",
    "More [@sun2014; @platt1999; @delong1988] in version 2.3 [@wilson1927]; all [@wilson1927; @platt1999; @sun2014].",
)


@pytest.mark.parametrize(
    ("style", "first", "second"),
    [
        ("nature", "A test¹, others²,³ (small⁴).", "More¹⁻³ in version 2.3 (ref. 5); all¹,³,⁵."),
        ("the-lancet", "A test,¹ others²,³ (small⁴).", "More¹⁻³ in version 2.3;⁵ all.¹,³,⁵"),
        ("radiology", "A test (1), others (2,3) (small (4)).", "More (1–3) in version 2.3 (5); all (1,3,5)."),
        ("elsevier-vancouver", "A test [1], others [2,3] (small [4]).", "More [1–3] in version 2.3 [5]; all [1,3,5]."),
        ("ieee", "A test [1], others [2], [3] (small [4]).", "More [1]–[3] in version 2.3 [5]; all [1], [3], [5]."),
    ],
)
def test_citations_are_those_of_the_journal(style, first, second):
    references = bib.cited(TEXTS, style)
    assert [references.cite(text) for text in TEXTS] == [first, second]
    lines = references.listed.splitlines()
    names = ("Platt", "DeLong", "Sun", "Obuchowski", "Wilson")
    assert all(
        line.startswith(f"{number}. ") and name in line.partition(".  ")[0]
        for number, (line, name) in enumerate(zip(lines, names, strict=True), start=1)
    )


def test_a_style_by_author_and_year_has_no_numbers():
    references = bib.cited(TEXTS, "elsevier-harvard")
    assert references.cite(TEXTS[0]) == (
        "A test (Platt, 1999), others (DeLong et al., 1988; Sun and Xu, 2014) (small (Obuchowski, 1997))."
    )
    names = [line.removeprefix("- ").partition(",")[0] for line in references.listed.splitlines()]
    assert names == ["DeLong", "Obuchowski", "Platt", "Sun", "Wilson"]


def test_bibtex_and_references():
    text = bib.bibtex(["airola2011", "benavoli2017", bib.OWN])
    assert text.index("@article{airola2011,") < text.index("@article{benavoli2017,") < text.index("@misc{mmbc,")
    assert r"Statistics \& Data" in text and r"Dem{\v{s}}ar" in text and f"version {mmbc.__version__}" in text
    assert text.count("{") == text.count("}")
    assert bib.cited(["[@delong1988]"], "the-lancet").entries == [
        "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the Areas under Two or More Correlated Receiver"
        " Operating Characteristic Curves: A Nonparametric Approach. Biometrics 1988; 44: 837–45."
    ]
    assert bib.cited([], "ieee").listed == "" == bib.cited(["Nothing."], "apa").listed


@pytest.mark.parametrize("journal", JOURNALS)
def test_every_work_is_a_reference_in_the_style_of_every_journal(journal):
    keys = sorted(bib.works())
    lines = bib.cited([f"[@{key}]" for key in keys], JOURNALS[journal].citations).entries
    assert len(lines) == len(keys)
    assert all("{" not in line and ".." not in line and ";." not in line for line in lines)


def test_an_unknown_key_is_refused():
    with pytest.raises(ConfigError, match="delong1988"):
        bib.bibtex(["delong1989"])


def test_what_is_cited_for_a_backbone():
    assert bib.backbone("tf_efficientnet_lite0") == ["tan2019", "liu2020"]
    assert bib.backbone("efficientnet_b0") == ["tan2019"] and bib.backbone("tf_efficientnetv2_s") == ["tan2021"]
    assert bib.backbone("efficientnet_es") == [] == bib.backbone("mobilenetv2_100")


def test_data_sets():
    assert bib.dataset("mini-ddsm-v1") == ["lekamlage2020", "heath2001"]
    assert bib.dataset("phantom") == [] == bib.dataset("mini-ddsm-v1", imported=True)


def test_what_a_study_needs(stored):
    keys = bib.needed_keys(stored)
    assert {"tan2019", "liu2020", "deng2009", "paszke2019", "harris2020", bib.OWN} <= set(keys)
    assert "lekamlage2020" not in keys and len(keys) == len(set(keys))
    imported = bib.needed_keys(replace(stored, environment=Environment(imported=Imported())))
    assert not {"tan2019", "paszke2019", "wightman2019"} & set(imported)
