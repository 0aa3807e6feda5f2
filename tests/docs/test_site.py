"""The site: it builds strictly, needs nothing from elsewhere, and its generated pages have all that the code has."""

import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from mmbc.config import known_keys
from study.checks.registry import CHECKS
from study.design.study_file import StudyFile
from tests.docs.conftest import DOCS, ROOT, command_of
from tests.docs.conftest import PAGES as WRITTEN
from tests.test_imports import ROOMS

sys.path.insert(0, str(DOCS))
from reference_pages import PAGES, checks, commands, formats, rooms, settings
from reference_pages.markdown import prose


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_site_is_built_and_generated_pages_are_in_it_alone(site):
    for page in PAGES:
        assert (site / page).with_suffix(".html").is_file()
        assert not (DOCS / page).exists(), "generated pages are not committed"
    assert not list(site.rglob("*.py"))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_site_needs_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?([^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]*rel=[\"']?(?:stylesheet|preconnect|icon)[^>]*href=[\"']?([^\"' >]+)", text)
        assert loaded and not [place for place in loaded if "//" in place], page


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_architecture_has_its_drawing(site):
    text = (site / "contributing" / "architecture.html").read_text(encoding="utf-8")
    assert text.count('<svg class="rooms"') == 1 and "drawing of the rooms" not in text


def test_every_option_of_every_command_is_on_its_page():
    page = commands.page()
    for name in sorted(path.stem for path in (ROOT / "study").glob("[a-z]*.py")):
        section = page.split(f"\n## mmbc {name}\n")[1].split("\n## ")[0]
        for param in command_of(f"study.{name}").params:
            for flag in [flag for flag in (*param.opts, *param.secondary_opts) if flag.startswith("--")]:
                assert flag == "--help" or re.search(rf"{flag}(?![\w-])", section), f"{name}: {flag}"
                assert param.help, f"{name}: {flag} has no help"


def test_every_setting_is_on_the_page_with_a_meaning():
    page = settings.page().replace("<wbr>", "")
    for key in known_keys(StudyFile):
        kind = StudyFile.model_fields[key].annotation if key in StudyFile.model_fields else None
        if key not in ("preset", "arms") and settings._section_of(kind) is None:
            assert re.search(rf"\| <code>{re.escape(key)}</code> \| [^|]+ \| [^ |]", page), key
    for section in ("search", "tuned", "arms.NAME"):
        assert f"\n## {section}\n" in page


def test_defaults_and_values_are_those_of_the_code():
    page = settings.page().replace("<wbr>", "")
    assert re.search(
        r"\| <code>train\.lr</code> \| number, more than 0[^<|]*<br>default: `5e-05` \| Learning rate of", page
    )
    assert re.search(r"\| <code>data\.outlines</code> \| `sham`, `inpaint`, `keep`<br>default: `\"sham\"` \|", page)
    assert re.search(
        r"\| <code>protocol\.holdout</code> \| number, more than 0, less than 1<br>default: not set \|", page
    )


def test_the_drawing_has_every_room_in_its_order():
    drawing = rooms.drawing()
    names = re.findall(r'class="name"[^>]*>(\w+)<', drawing)
    assert names == ["commands", *ROOMS, "mmbc"]
    for room in ROOMS:
        assert rooms.purpose(room)
        assert set(rooms.used(room)) < set(ROOMS) - {room}
    assert max(len(line) for line in re.findall(r"<text[^>]*>([^<]*)<", drawing)) <= rooms.LETTERS


def test_every_module_of_the_formats_is_described():
    page = formats.page()
    assert "prob_calibrated" in page and "record.json" in page and "`sites`" not in page
    assert page.count("\n## ") == len(formats.SECTIONS)


def test_every_document_of_a_study_is_described():
    page = formats.page()
    for path in (ROOT / "study").rglob("*.py"):
        if "(Document)" in path.read_text(encoding="utf-8"):
            module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            kinds = [kind for kind in vars(module).values() if formats._is_document_of(kind, module.__name__)]
            assert kinds and all(f"**{kind.__name__}.**" in page for kind in kinds), path


def test_indented_blocks_of_docstrings_become_code():
    text = "One line.\n\n    a/\n      b  two\n\nAfter.\n\nAttributes:\n    x: left out.\n"
    assert prose(text) == "One line.\n\n```text\na/\n  b  two\n```\n\nAfter."


def test_every_check_is_on_the_page_in_its_words():
    page = checks.page()
    for check in CHECKS:
        section = page.split(f"\n### {check.code} {check.title} ")[1].split("\n##")[0]
        assert check.question in section and check.meaning in section and check.remedy in section
        assert f"| [{check.code}](#{check.code.lower()}) |" in page and f"{{ #{check.code.lower()} }}" in section


def test_new_names_in_the_changelog_are_modules():
    rows = re.findall(r"(?m)^\| `(?:mmbc|study)\.[^|]*\| (.*) \|$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    assert len(names) > 30
    assert not [name for name in names if find_spec(name) is None]


def exists(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@pytest.mark.parametrize("page", WRITTEN)
def test_modules_and_files_that_a_page_names_exist(page):
    codes = re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", WRITTEN[page].read_text(encoding="utf-8")))
    for code in codes:
        if re.fullmatch(r"(?:mmbc|study)(?:\.\w+)+", code):
            assert exists(code), code
        elif re.fullmatch(r"(?:mmbc|study|tests|docs|reports/demo)/?(?:[\w.-]+/?)*", code) and "/" in code:
            assert (ROOT / code).exists(), code
