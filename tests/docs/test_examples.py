"""The code that the contributing pages show does what the text says, and the glossary has the words of the help."""

import inspect
import re
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
from PIL import Image

from mmbc.config import DataConfig
from mmbc.data import readers
from mmbc.data.cohort import assemble
from mmbc.data.readers import Reader
from mmbc.errors import CohortError
from study.cv import CrossValidate
from study.design.study_file import BASELINE
from study.reporting.figures.style import looks
from tests.docs.conftest import PAGES, blocks


def module(page, folder):
    """Write the file of a page and import it."""
    (block,) = [block for block in blocks(page) if block.kind == "file"]
    (folder / block.file).write_text(block.text, encoding="utf-8")
    spec = spec_from_file_location(block.file.removesuffix(".py"), folder / block.file)
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def cohort_folder(tmp_path):
    rng = np.random.default_rng(0)
    ages = ["patient,age"]
    for number in range(12):
        folder = tmp_path / "cohort" / ("cancer" if number % 3 == 0 else "benign")
        folder.mkdir(parents=True, exist_ok=True)
        ages.append(f"{number:03d},{40 + number}")
        for name in ("LCC", "RMLO"):
            Image.fromarray(rng.integers(0, 255, (24, 18), dtype=np.uint8)).save(folder / f"{number:03d}_{name}.png")
    (tmp_path / "cohort" / "ages.csv").write_text("\n".join(ages))
    return tmp_path / "cohort"


def test_the_reader_reads(cohort_folder, tmp_path, monkeypatch):
    example = module("contributing/add-a-reader.md", tmp_path)
    known = {**readers.known_readers(), "class-folders": Reader("class-folders", example.recognise, example.read)}
    monkeypatch.setattr(readers, "known_readers", lambda: known)
    source = readers.find_source(str(cohort_folder))
    assert source.kind == "class-folders"
    assert readers.find_source(f"class-folders:{cohort_folder}") == source
    listing = readers.read(source, DataConfig(), cache=tmp_path, render=False)
    cohort = assemble(listing, DataConfig())
    assert len(cohort.images) == 24 and cohort.n_patients == 12
    assert cohort.images.groupby("status")["label"].unique().map(list).to_dict() == {"benign": [0], "cancer": [1]}
    row = cohort.images.set_index("image_id").loc["benign/001_RMLO.png"]
    assert (row["patient_id"], row["breast"], row["view"], row["age"]) == ("001", "R", "MLO", 41)


def test_the_reader_names_a_wrong_file(cohort_folder, tmp_path):
    example = module("contributing/add-a-reader.md", tmp_path)
    (cohort_folder / "cancer" / "notes.txt").write_text("")
    with pytest.raises(CohortError, match=r"notes\.txt: must be named like"):
        example.read(cohort_folder, DataConfig())


def test_the_figure_is_drawn(evaluated, tmp_path):
    study, evaluation = evaluated
    example = module("contributing/add-a-figure.md", tmp_path)
    known = looks([*study.settings.arms, BASELINE])
    figure, data = example.units_by_fold(evaluation.per_fold, known, evaluation.unit)
    assert len(data) and set(data["arm"]) == set(known)
    assert sum(len(dots.get_offsets()) for dots in figure.axes[0].collections) == len(data)


def test_words_that_help_explains_are_in_the_glossary():
    headings = re.findall(r"(?m)^### (.*)$", PAGES["reference/glossary.md"].read_text(encoding="utf-8"))
    assert headings == list(dict.fromkeys(headings))
    words = inspect.getdoc(CrossValidate).split("Words:")[1]
    explained = re.findall(r"\b(?:an?|A) (\w+) (?:is|divides)\b", words)
    assert set(explained) == {"arm", "fold", "repeat", "seed", "cell"}
    assert {word.capitalize() for word in explained} <= set(headings)
