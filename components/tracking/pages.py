"""Addresses of pages in MLflow's UI, by the store's own records: the last run, its trainings, the models."""

import json
from urllib.parse import quote, urlencode

from mlflow import MlflowClient
from mlflow.entities import Run

from components.tracking.client import PIPELINES
from components.tracking.parents import TAG
from components.tracking.views import SCORES, TAGS

MODE = {"workflowType": "machine_learning"}  # the UI's "Model training"; by default it opens in "GenAI"
MOST = 20  # runs that a comparison shows side by side


def pages(client: MlflowClient, ui: str) -> dict[str, str]:
    """What -> its address. ui: MLflow's address, as http://127.0.0.1:5000."""
    found = client.get_experiment_by_name(PIPELINES)
    runs = {} if found is None else _of_runs(client, str(found.experiment_id), ui)
    return {**runs, "registered models": _page(ui, "models"), "all experiments": _page(ui, "experiments")}


def _of_runs(client: MlflowClient, place: str, ui: str) -> dict[str, str]:
    for key, value in TAGS.items():  # what an earlier version of this project made lacks them
        client.set_experiment_tag(place, key, value)
    scores = _page(ui, f"experiments/{place}/runs", viewStateShareKey=SCORES)
    parent = _last_parent(client, place)
    if parent is None:
        return {"scores of all runs": scores}
    trainings = _trainings(client, place, parent)
    numbers = json.dumps([run.info.run_id for run in trainings], separators=(",", ":"))
    compared = _page(ui, "compare-runs", runs=numbers, experiments=json.dumps([place]))
    return {
        "last run": _page(ui, f"experiments/{place}/runs/{parent.info.run_id}"),
        **({"its trainings, compared": compared} if trainings else {}),
        "scores of all runs": scores,
    }


def _page(ui: str, route: str, **query: str) -> str:
    # The mode comes last: the page of comparisons wants its runs first.
    return f"{ui}/#/{route}?{urlencode({**query, **MODE}, quote_via=quote)}"


def _last_parent(client: MlflowClient, place: str) -> Run | None:
    runs = client.search_runs(
        [place], filter_string=f"tags.{TAG} != ''", order_by=["attributes.start_time DESC"], max_results=1
    )
    return runs[0] if runs else None


def _trainings(client: MlflowClient, place: str, parent: Run) -> list[Run]:
    """The newest one of each name: the run's own, or those that it took from earlier runs."""
    newest: dict[tuple[str, ...], Run] = {}
    names = set(parent.data.tags.get("experiments", "").split())
    chosen = "attributes.status = 'FINISHED' and tags.algorithm != ''"
    for run in client.search_runs([place], filter_string=chosen, order_by=["attributes.start_time DESC"]):
        tags = run.data.tags
        if tags.get("experiment") in names:
            newest.setdefault(tuple(tags[key] for key in ("experiment", "algorithm", "seed")), run)
    return [newest[key] for key in sorted(newest)][:MOST]
