"""`make site`: pages of the package metasgd, from its docstrings. Warnings of pdoc end the command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.config.code import ROOT
from tests.imports import modules


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, from the command that people type."""
    place = tmp_path_factory.mktemp("reference") / "site"
    command = ["make", "-o", "setup-dev", f"RUN={sys.executable}", f"OUTPUT={place}", "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_every_module_has_a_page_with_its_docstring(site: Path) -> None:
    for module in modules("metasgd"):
        page = (site / f"{module.replace('.', '/')}.html").read_text()
        assert '<div class="docstring">' in page, module


def test_names_in_docstrings_are_links_that_lead_somewhere(site: Path) -> None:
    """A name that pdoc does not find stays plain code: it was renamed, and its mention was not."""
    anchors = {page: set(re.findall(r'id="([^"]+)"', page.read_text())) for page in site.rglob("*.html")}
    for page in anchors:
        text = page.read_text()
        assert not re.findall(r"<code>metasgd\.[\w.]+</code>", text), page
        for link in re.findall(r'href="([^":$]*)"', text):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert anchor in anchors[target] or not anchor, f"{page}: {link}"


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.findall(r'(?:src|<link[^>]*href)="(?:https?:)?//', page.read_text())
