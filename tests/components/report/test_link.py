"""The link from the Kubeflow UI to the MLflow run of the pipeline run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.report.link import parent_address
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
    assert parent_address() == f"{PAGE}/#/experiments/{place}/runs/{parent}"


def test_without_a_parent_there_is_none(client: MlflowClient) -> None:
    """As where every training came from the cache."""
    assert parent_address() is None


def test_elsewhere_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither under DVC nor under the local runner, which would wait for MLflow's import."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert parent_address() is None
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
    assert parent_address() is None


def test_an_mlflow_that_is_away_costs_no_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
    monkeypatch.setenv("METASGD_MLFLOW_UI", PAGE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert parent_address() is None
    assert "warning: no link to MLflow" in capsys.readouterr().out
