"""A store is asked before the first training whether it will take what comes."""

from collections.abc import Iterator

import pytest
from mlflow import MlflowClient

from components.tracking.client import connect, experiment_id
from components.tracking.readiness import require_ready
from metasgd.errors import InputError
from tests.components.lane import empty_store
from tests.mlflow_server import MlflowServer, Relay, mlflow_server, relay


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_store()) as running:
        yield running


@pytest.fixture
def between(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with relay(server.port) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address)
        yield running


@pytest.fixture
def client(between: Relay) -> MlflowClient:
    return connect()


def test_a_store_that_takes_everything_is_left_as_it_was(client: MlflowClient) -> None:
    """Experiments are made; of models nothing stays, whether they are there or not."""
    client.create_registered_model("known", {"mine": "1"})
    require_ready(client, ["sinusoid", "images"], ["known", "new"])
    assert {"sinusoid", "images"} <= {one.name for one in client.search_experiments()}
    assert [model.name for model in client.search_registered_models()] == ["known"]
    assert client.get_registered_model("known").tags == {"mine": "1"}
    client.delete_registered_model("known")


def test_an_experiment_that_is_deleted_is_said(client: MlflowClient) -> None:
    """With the command that restores it, which works."""
    number = experiment_id(client, "control")
    client.delete_experiment(number)
    with pytest.raises(InputError, match=rf"'control' is deleted; .* restore --experiment-id {number}`"):
        require_ready(client, ["control"], [])
    client.restore_experiment(number)
    require_ready(client, ["control"], [])


@pytest.mark.parametrize("there", [True, False])
def test_a_registry_that_refuses_is_said(client: MlflowClient, between: Relay, there: bool) -> None:
    """403 for whatever changes a model: today, and not after all trainings."""
    if there:
        client.create_registered_model("refused")
    between.fault = lambda method, path, body: (
        403 if "registered-models" in path and method != "GET" else None
    )
    with pytest.raises(InputError) as refused:
        require_ready(client, [], ["refused"])
    line = str(refused.value)
    assert line.startswith(f"model 'refused': MLFLOW_TRACKING_URI {between.address}: refuses this (")
    assert line.endswith("expected the right to register models and to move their aliases")
    assert "\n" not in line
    between.fault = lambda method, path, body: None
    if there:
        client.delete_registered_model("refused")


def test_two_checks_at_once_do_not_disturb_each_other(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one deletes what this one made."""
    create = MlflowClient.create_registered_model

    def taken_away(one: MlflowClient, name: str) -> None:
        create(one, name)
        one.delete_registered_model(name)

    monkeypatch.setattr(MlflowClient, "create_registered_model", taken_away)
    require_ready(client, [], ["twice"])
    assert client.search_registered_models() == []


def test_what_a_killed_check_left_is_no_obstacle(client: MlflowClient) -> None:
    client.create_registered_model("again.check")
    require_ready(client, [], ["again"])
    assert client.search_registered_models() == []
