"""The page as Chromium renders it: on a phone, in print, in the dark, and offline."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fabricated import decision, result, written_lane
from PIL import Image
from playwright.sync_api import Browser, Page

from components.plots.alpha import alpha_by_layer
from components.plots.contact_sheet import contact_sheet
from components.plots.style import save, save_animation
from components.report.origin import UI, Origin
from components.report.step import report
from tests.browser import chromium

PHONE, PAPER = 390, 718  # pixels: a phone, and what an A4 page leaves between its margins
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with a wide table, two learners, a reference, and a picture of every kind."""
    place = tmp_path_factory.mktemp("report")
    accuracies = {"metric": "accuracy", "higher_is_better": True, "experiment": "omniglot-5way-1shot"}
    steps = [{"step": step, "mean": mean, "ci95": 0.0123} for step, mean in ((0, 0.2), (1, 0.9876))]
    lane = [
        result(name, 1, **accuracies, steps=steps, served=steps[1], shots=1)
        for name in ("meta-sgd", "prototypes")
    ]
    worse = [steps[0], steps[1] | {"mean": 0.1}]
    lane.append(result("from-scratch", 1, **accuracies, steps=worse, shots=1, reference=True))
    folder, file = written_lane(place, "lane", lane, decision([], experiment="omniglot-5way-1shot"))
    figures = folder / "figures"
    (figures / "meta-sgd-seed1").mkdir(parents=True)
    save(alpha_by_layer({"weight": np.linspace(-1, 1, 9)}), figures / "meta-sgd-seed1" / "alpha.svg")
    save(contact_sheet(np.zeros((2, 5, 4, 1, 12, 12), np.uint8), 1), figures / "contact-sheet.png")
    white = np.full((60, 80, 3), 255, np.uint8)
    save_animation([(white, 100), (white // 2, 100)], figures / "adaptation.gif")
    report([folder], [file], place / "out", command="make pipeline-run", origin=Origin(UI, None, 0.0, 60.0))
    return (place / "out" / "report.html").as_uri()


@pytest.fixture
def show(browser: Browser, address: str) -> Iterator[Open]:
    """Open the page: `show(width, scheme)`. Whatever it asks for on the way fails the test."""
    pages: list[Page] = []
    asked: list[str] = []

    def opened(width: int, scheme: str = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert [url for url in asked if url != address and not url.startswith("data:")] == []


def width_of(page: Page) -> int:
    found: int = page.evaluate("document.documentElement.scrollWidth")
    return found


def test_a_phone_shows_every_column_of_the_summary(show: Open) -> None:
    """Without scrolling, of the page or of the table."""
    page = show(PHONE)
    assert width_of(page) == PHONE
    row = page.locator(".summary tbody tr:not(.experiment, .verdict)").first
    assert row.locator("td, th").count() == 6
    for cell in row.locator("td, th").all():
        box = cell.bounding_box()
        assert box is not None
        assert box["width"] > 20
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE
    assert page.locator(".summary td.tasks").first.is_visible()


def test_a_wide_table_scrolls_in_its_own_frame_and_keeps_its_names(show: Open) -> None:
    page = show(PHONE)
    scores = page.locator(".chapter .scroll").first
    assert scores.evaluate("frame => frame.scrollWidth > frame.clientWidth")
    scores.evaluate("frame => { frame.scrollLeft = 120 }")
    name = scores.locator("tbody th").first.bounding_box()
    frame = scores.bounding_box()
    assert name is not None
    assert frame is not None
    assert name["x"] == pytest.approx(frame["x"], abs=1)


def test_the_dark_page_has_no_white_cards(show: Open) -> None:
    """The ground of every picture, plots and photographs, is dark; in the light it is white."""
    for scheme, bright in (("dark", False), ("light", True)):
        for picture in show(1280, scheme).locator("figure img").all():
            shown = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("L"))
            for edge in (shown[4:8, 20:-20], shown[-8:-4, 20:-20]):
                assert edge.mean() > 240 if bright else edge.mean() < 50


def test_print_shows_what_is_folded_and_cuts_no_table(show: Open) -> None:
    """On white, also where the screen is dark; the moving picture stays out."""
    page = show(PAPER, "dark")
    runs = page.locator("details:not(.motion) table")
    assert not runs.first.is_visible()
    page.emulate_media(media="print")
    assert runs.first.is_visible()
    assert runs.first.evaluate("table => table.getBoundingClientRect().height") > 20
    assert not page.locator(".motion").is_visible()
    for frame in page.locator(".scroll").all():
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth")
    assert page.evaluate("getComputedStyle(document.documentElement).color") == "rgb(34, 40, 47)"
    assert page.locator("img.plot").first.evaluate("image => getComputedStyle(image).filter") == "none"


def test_chapters_follow_each_other_on_paper(show: Open) -> None:
    """A summary and a short chapter with three pictures: no page of its own for each."""
    paper = show(1280).pdf(format="A4")
    assert paper.count(b"/Type /Page\n") <= 3


def test_a_row_that_got_worse_is_drawn_apart(show: Open) -> None:
    """Another colour, dashed, and in words; gains are neither."""
    page = show(1280)
    strokes = {
        kind: page.locator(f".summary td line.{kind}").first.evaluate(
            "line => [getComputedStyle(line).stroke, getComputedStyle(line).strokeDasharray]"
        )
        for kind in ("gain", "loss")
    }
    assert strokes["gain"][0] != strokes["loss"][0]
    assert (strokes["gain"][1], strokes["loss"][1]) == ("none", "3px, 3px")
    assert page.get_by_text("worse than before").count() == 2  # in the legend and in the row
