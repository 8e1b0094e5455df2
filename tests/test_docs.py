"""The documents say what results/ holds, their links lead somewhere, and README is short."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from components.config.code import ROOT
from tests.imports import modules
from tests.pages import NAMES, anchors, code_blocks, links

README = (ROOT / "README.md").read_text()


def test_tables_are_those_of_the_results() -> None:
    """`make docs` would change nothing."""
    pages = ["README.md", *(str(page) for page in sorted((ROOT / "docs").glob("*.md")))]
    command = [sys.executable, "-m", "cogapp", "--check", "-P", *pages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    for target in links(page):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(place), target


def test_every_page_is_found_from_readme() -> None:
    reached, left = set(), {ROOT / "README.md"}
    while left:
        page = left.pop()
        reached.add(page)
        files = ((page.parent / target.partition("#")[0]).resolve() for target in links(page))
        left |= {file for file in files if file.suffix == ".md" and file.is_file()} - reached
    assert {ROOT / name for name in NAMES} - reached == {ROOT / "CHANGELOG.md"}


def test_readme_comes_to_its_tour_within_two_screens() -> None:
    before, _, tour = README.partition("\n## A tour of the tree\n")
    assert before.count("\n") <= 100
    assert tour


def test_the_tour_names_every_module_of_the_method() -> None:
    tour = README.partition("\nmetasgd/ ")[2].partition("\ncomponents/ ")[0]
    names = {module.split(".")[1] for module in modules("metasgd") if "." in module}
    assert {name for name in names if f" {name}.py" not in tour and f" {name}/" not in tour} == set()


def test_readme_and_results_show_one_table_of_the_default_run() -> None:
    """results.md says which commit and machine gave it."""
    shown, known = ([*code_blocks(page, "")] for page in (ROOT / "README.md", ROOT / "docs" / "results.md"))
    table = next(block for block in shown if "as served" in block)
    assert table in known


@pytest.mark.parametrize("picture", ["one-step.svg", "architecture.svg"])
def test_readmes_pictures_are_small_and_follow_the_readers_scheme(picture: str) -> None:
    drawing = (ROOT / "docs" / picture).read_text()
    assert len(drawing) < 50_000
    assert "prefers-color-scheme:dark" in drawing
    assert ElementTree.fromstring(drawing).tag.endswith("svg")  # noqa: S314  # a file of this repository
