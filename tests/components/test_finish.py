"""The MLflow run of a pipeline run: opened by the first step, shared by all, ended by the last."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.finish.step import finish
from components.parents import find_parent, make_parent
from components.tracking import PIPELINES, experiment_id, open_run


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A store of the test's own, and a Kubeflow run that the environment names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def parent_of(client: MlflowClient, name: str) -> str:
    with open_run("sinusoid", name, {}) as run:
        pass
    return str(client.get_run(run.run_id).data.tags["mlflow.parentRunId"])


def status(client: MlflowClient, run_id: str) -> str:
    return str(client.get_run(run_id).info.status)


def test_steps_of_one_pipeline_run_share_a_parent(client: MlflowClient) -> None:
    """The first step opens it, the second finds it, and no step ends it."""
    first, second = parent_of(client, "one"), parent_of(client, "two")
    assert first == second
    assert status(client, first) == "RUNNING"


def test_another_pipeline_run_has_another_parent(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parent_of(client, "one")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "77aa")
    assert parent_of(client, "two") != first


def test_two_steps_at_the_same_time_keep_the_older_parent(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either had made one: the later one deletes its own and takes the other's."""
    place = experiment_id(client, PIPELINES)
    older = make_parent(client, place, "5f2c")
    answers = iter([None])
    monkeypatch.setattr("components.parents.find_parent", lambda *about: next(answers, find_parent(*about)))
    assert make_parent(client, place, "5f2c") == older
    assert len(client.search_runs([place])) == 1


@pytest.mark.parametrize(
    ("state", "expected"), [("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELED", "KILLED")]
)
def test_the_last_step_ends_it(client: MlflowClient, state: str, expected: str) -> None:
    """As Kubeflow says that the other steps ended."""
    parent = parent_of(client, "one")
    finish(state)
    assert status(client, parent) == expected


@pytest.mark.parametrize("whose", ["METASGD_PARENT_RUN_ID", "MLFLOW_RUN_ID"])
def test_what_somebody_else_opened_is_left_to_them(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """The launcher's run, and that of Kubeflow's MLflow plugin."""
    parent = parent_of(client, "one")
    monkeypatch.setenv(whose, parent)
    finish("SUCCEEDED")
    assert status(client, parent) == "RUNNING"


def test_a_run_whose_steps_all_came_from_the_cache_has_nothing_to_end(client: MlflowClient) -> None:
    finish("SUCCEEDED")
    assert client.search_runs([experiment_id(client, PIPELINES)]) == []
