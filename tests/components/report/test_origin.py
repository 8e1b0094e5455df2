"""Where a report says that it comes from: the MLflow run of the pipeline run, and when that began."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.report.origin import UI, find_parent_run, origin_of_run
from components.tracking.client import PIPELINES, experiment_id
from components.tracking.runs import open_run
from tests.components.lane import store

PAGE = "https://mlflow.example.org"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """On a cluster: a pipeline run, and MLflow's address as browsers see it."""
    with store(tmp_path) as found:
        monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
        monkeypatch.setenv("METASGD_MLFLOW_UI", PAGE)
        yield found


def test_the_parent_has_an_address(client: MlflowClient) -> None:
    with open_run("sinusoid", "a training", {}) as run:
        pass
    parent = client.get_run(run.run_id).data.tags["mlflow.parentRunId"]
    place = experiment_id(client, PIPELINES)
    found = find_parent_run()
    assert found is not None
    assert found.page == f"{PAGE}/#/experiments/{place}/runs/{parent}"
    assert found.started == client.get_run(parent).info.start_time / 1000
    assert origin_of_run().run("5f") == f"{PAGE}/#/runs/5f"


def test_without_a_parent_there_is_none(client: MlflowClient) -> None:
    """As where every training came from the cache."""
    assert find_parent_run() is None


def test_elsewhere_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither under DVC nor under the local runner, which would wait for MLflow's import."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert find_parent_run() is None
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
    assert find_parent_run() is None


def test_the_launcher_says_which_run_and_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are where `make ui` shows them, or on the server that keeps them, without its password."""
    monkeypatch.setenv("METASGD_PARENT_RUN_ID", "5f2c")
    monkeypatch.setenv("METASGD_STARTED", "1700000000.5")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///.local/mlflow.db")
    origin = origin_of_run()
    assert (origin.page, origin.started) == (f"{UI}/#/runs/5f2c", 1700000000.5)
    assert origin.written > origin.started
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org/")
    assert origin_of_run().page == "https://mlflow.example.org/#/runs/5f2c"


def test_an_mlflow_that_is_away_costs_no_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
    monkeypatch.setenv("METASGD_MLFLOW_UI", PAGE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert find_parent_run() is None
    assert "warning: no link to MLflow" in capsys.readouterr().out
