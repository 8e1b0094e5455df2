"""The addresses that `make ui` prints, opened in a real browser: MLflow's own UI shows the scores there."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from components.config.environment import PARENT
from components.tracking.client import PIPELINES, connect
from components.tracking.pages import pages
from components.tracking.parents import TAG
from components.tracking.runs import open_run
from tests.browser import chromium
from tests.components.lane import store
from tests.mlflow_server import mlflow_server

SCORES = {"maml": (8.25, 4.125), "meta-sgd": (7.5, 3.375)}  # before and after adaptation
WAIT = 60_000  # milliseconds until the UI, which loads itself in pieces, shows something
Open = Callable[[str], Page]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens the page of that name, of a store with an older run, and one with two scored trainings."""
    folder = tmp_path_factory.mktemp("pages")
    with store(folder) as client:
        with open_run(PIPELINES, "an older run", {TAG: "1", "experiments": "sinusoid-5shot"}):
            pass
        tags = {TAG: "2", "experiments": "sinusoid-5shot"}
        with open_run(PIPELINES, "the last run", tags) as parent, pytest.MonkeyPatch.context() as patch:
            patch.setenv(PARENT, parent.run_id)
            for algorithm in SCORES:
                log_training(algorithm)
            parent.describe("| experiment | after |\n| --- | --- |\n| sinusoid-5shot | 3.375 |")
        client.create_registered_model("sinusoid-5shot")
        with mlflow_server(folder, folder / ".local" / "mlflow.db") as server, chromium() as browser:
            found = pages(connect(), server.address)
            page = browser.new_page(viewport={"width": 1800, "height": 1400})
            page.set_default_timeout(WAIT)
            expect.set_options(timeout=WAIT)

            def opened(name: str) -> Page:
                page.goto("about:blank")  # or another fragment would not load the page anew
                page.goto(found[name])
                return page

            yield opened
            expect.set_options(timeout=None)


def log_training(algorithm: str) -> None:
    before, after = SCORES[algorithm]
    tags = {"experiment": "sinusoid-5shot", "algorithm": algorithm, "seed": "1"}
    with open_run("sinusoid", f"{algorithm} seed 1", tags) as run:
        run.log_params(tags)
        run.log_metrics({"test_mse_before": before, "test_mse_after": after, "test_mse_after_ci95": 0.5})
        run.log_metrics({"alpha_mean": 0.01})
        run.log_dataset("sinusoid-5shot", "ab" * 32, "drawn", {"test_tasks": 600})


def test_the_comparison_names_both_trainings_and_their_scores(show: Open) -> None:
    page = show("its trainings, compared")
    expect(page.get_by_role("heading", name="Comparing 2 Runs from 1 Experiment")).to_be_visible()
    for algorithm, scores in SCORES.items():
        expect(page.get_by_text(f"{algorithm} seed 1").first).to_be_visible()
        for score in scores:
            expect(page.get_by_text(str(score), exact=True).first).to_be_attached()


def test_the_last_run_says_its_table_and_names_its_trainings(show: Open) -> None:
    page = show("last run")
    expect(page.get_by_role("heading", name="the last run")).to_be_visible()
    for algorithm in SCORES:
        expect(page.get_by_role("link", name=f"{algorithm} seed 1")).to_be_visible()
    expect(page.get_by_role("cell", name="3.375")).to_be_visible()


def test_the_table_of_scores_begins_with_the_scores(show: Open) -> None:
    """A row per training, and no parents; the first columns behind the name are the scores."""
    page = show("scores of all runs")
    for _, after in SCORES.values():
        expect(page.get_by_text(str(after), exact=True)).to_be_visible()
    # In the document they are in no order.
    heads = page.get_by_role("columnheader").evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().x, one.innerText]).sort((a, b) => a[0] - b[0])"
    )
    names = dict.fromkeys(name for _, name in heads if "_" in name)
    assert list(names) == ["test_mse_before", "test_mse_after", "test_mse_after_ci95"]
    expect(page.get_by_text("the last run")).to_have_count(0)
    expect(page.get_by_text("alpha_mean")).to_have_count(0)


def test_the_registered_models_are_listed(show: Open) -> None:
    expect(show("registered models").get_by_role("link", name="sinusoid-5shot")).to_be_visible()


def test_every_page_is_in_the_mode_of_trainings(show: Open) -> None:
    """In the other one, which MLflow opens by default, runs are hidden behind prompts and traces."""
    page = show("scores of all runs")
    expect(page.get_by_role("link", name="Models", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Prompts")).to_have_count(0)
