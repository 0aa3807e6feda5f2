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
    assert bib.numbering(texts) == {"delong1988": 1, "holm1979": 2, "wilson1927": 3}


def test_bibtex_and_references():
    text = bib.bibtex(["airola2011", "benavoli2017", bib.OWN])
    assert text.index("@article{airola2011,") < text.index("@article{benavoli2017,") < text.index("@misc{mmbc,")
    assert r"Statistics \& Data" in text and r"Dem{\v{s}}ar" in text and f"Version {mmbc.__version__}" in text
    assert text.count("{") == text.count("}")
    assert bib.references(["delong1988"], "the-lancet") == [
        "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the Areas under Two or More Correlated Receiver"
        " Operating Characteristic Curves: A Nonparametric Approach. Biometrics 1988; 44: 837–45."
    ]
    assert bib.references([], "ieee") == []


@pytest.mark.parametrize("journal", JOURNALS)
def test_every_work_is_a_reference_in_the_style_of_every_journal(journal):
    keys = sorted(bib.works())
    lines = bib.references(keys, JOURNALS[journal].citations)
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
