"""DVC's page of learning curves, as Chromium draws it without a network."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import vl_convert
from playwright.sync_api import Page, expect

from tests.browser import chromium
from tests.imports import ROOT

# Of three iterations; the second is not validated.
CURVES = {
    "sinusoid-5shot": "iteration,train_loss,validation\n1,300.0,40.5\n2,20.0,\n3,0.5,2.25\n",
    "navigation-short": "iteration,return_after,validation\n1,-60.0,-80.5\n2,-50.0,\n3,-30.0,-20.25\n",
}
ALGORITHMS = ("meta-sgd", "maml")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Of `dvc plots show` on two short curves in each of two experiments; what it asks for lies beside it."""
    folder = tmp_path_factory.mktemp("plots")
    dvc(folder, "init", "--no-scm", "-q")
    shutil.copytree(
        ROOT / ".dvc", folder / ".dvc", dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp", "cache")
    )
    shutil.copy(ROOT / "dvc.yaml", folder)
    for experiment, curve in CURVES.items():
        for algorithm in ALGORITHMS:
            place = folder / "artifacts" / experiment / algorithm
            place.mkdir(parents=True)
            (place / "curve.csv").write_text(curve)
    dvc(folder, "plots", "show")
    (folder / "dvc_plots" / "vega.js").write_text(vl_convert.javascript_bundle())
    asked: list[str] = []
    with chromium() as browser:
        opened = browser.new_page()
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto((folder / "dvc_plots" / "index.html").as_uri())
        for what in ("training", "validation tasks"):
            expect(opened.locator("svg", has_text=what)).to_have_count(len(CURVES))
        yield opened
    assert [url for url in asked if not url.startswith((folder.as_uri(), "data:"))] == []


def dvc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def drawing(page: Page, title: str) -> str:
    """The text and the attributes of a plot."""
    (found,) = [one.evaluate("svg => svg.outerHTML") for one in page.locator("svg", has_text=title).all()]
    return str(found)


def test_a_return_has_a_minus_sign(page: Page) -> None:
    """U+2212, not the three letters that it is in another encoding."""
    drawn = drawing(page, "navigation-short, validation tasks")
    assert ">\N{MINUS SIGN}80</text>" in drawn
    assert "â" not in page.content()


def test_every_algorithm_has_a_colour(page: Page) -> None:
    """That of the report's figures: blue and orange. The legend names them."""
    drawn = drawing(page, "navigation-short, validation tasks")
    for name, colour in zip(ALGORITHMS, ("#0072B2", "#D55E00"), strict=True):
        assert f">{name}</text>" in drawn
        assert f'stroke="{colour}"' in drawn


def test_errors_are_on_a_log_scale_and_returns_are_not(page: Page) -> None:
    assert "log scale" in drawing(page, "sinusoid-5shot, training loss")
    assert "log scale" not in drawing(page, "navigation-short, training tasks")


def test_validation_is_a_curve_through_the_validated_iterations(page: Page) -> None:
    """Two points a curve: where nothing was validated, there is none."""
    lines = page.locator("svg", has_text="navigation-short, validation tasks").locator(
        "path[aria-roledescription='line mark']"
    )
    expect(lines).to_have_count(2)
    for line in lines.all():
        assert (line.get_attribute("d") or "").count("L") == 1
