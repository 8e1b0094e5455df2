"""Tracking servers that go away: a training goes on, and MLflow holds all of it in the end."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.artifacts.checkpoint import WEIGHTS
from components.tracking.outbox import Outbox
from components.tracking.patience import AwayError
from components.train.step import train
from metasgd.errors import InputError
from tests.components.lane import Lane, empty_store, run_of
from tests.components.train.continued import POINTS, at_iteration, whole
from tests.mlflow_server import MlflowServer, Relay, mlflow_server, relay


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_store()) as running:
        yield running


@pytest.fixture
def between(server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Relay]:
    """The way to the server, which can be disturbed; this is a step of a pipeline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METASGD_PIPELINE_RUN", tmp_path.name)
    monkeypatch.setenv("METASGD_PATIENCE", "60")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
    with relay(server.port) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address)
        yield running


def trained(lane: Lane, output: Path) -> Run:
    """The run, once the training is over: whole, and with the weights of one that met no fault."""
    train(lane.training(), lane.episodes, output)
    return whole(lane, output)


@pytest.mark.parametrize("status", [503, 500, 401, 429, 0])
def test_a_server_that_is_away_at_the_start_of_a_step_is_waited_for(
    lane: Lane, between: Relay, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    """It restarts, is overloaded, or does not know its users yet: the launcher has seen it answer."""
    between.fault = lambda method, path, body: status if len(between.asked) <= 3 else None
    trained(lane, tmp_path / "out")
    assert "MLflow: warning: MLFLOW_TRACKING_URI http://127.0.0.1:" in capsys.readouterr().out


def test_a_server_that_is_killed_and_comes_back_costs_nothing(
    lane: Lane,
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed at iteration 5, back at iteration 15."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("METASGD_PATIENCE", "60")
    said = threading.Event()
    note = Outbox._note

    def noted(outbox: Outbox, state: object) -> None:
        note(outbox, state)  # type: ignore[arg-type]
        said.set()

    def back() -> None:
        assert said.wait(60)
        server.start()

    monkeypatch.setattr(Outbox, "_note", noted)
    at_iteration(monkeypatch, 5, server.kill)
    at_iteration(monkeypatch, 15, back)
    trained(lane, tmp_path / "out")
    lines = [line for line in capsys.readouterr().out.splitlines() if "MLflow" in line or "MLFLOW" in line]
    assert [line.partition(": ")[2].partition(" ")[0] for line in lines] == ["warning:", "MLflow"]
    assert lines[0].endswith("expected a running MLflow server; its metrics wait here")
    assert lines[1] == "sinusoid-5shot meta-sgd seed 1: MLflow answers again"


def test_a_training_does_not_wait_for_slow_answers(
    lane: Lane, between: Relay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first metrics are answered when the last iteration is over."""
    over = threading.Event()

    def slow(method: str, path: str, body: bytes) -> None:
        if path.endswith("/log-batch") and b"train_loss" in body:
            over.wait(60)

    between.fault = slow
    at_iteration(monkeypatch, POINTS, over.set)
    trained(lane, tmp_path / "out")
    sent = [path for path in between.asked if path.endswith("/log-batch")]
    assert len(sent) < POINTS  # what waited went together


def test_a_server_that_stays_away_ends_the_step_in_one_line_and_only_logging_is_left(
    lane: Lane,
    between: Relay,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Checkpoint and state are safe; the repeated command trains nothing, and continues in the same row."""
    monkeypatch.setenv("METASGD_PATIENCE", "0.5")
    away = partial(setattr, between, "fault", lambda method, path, body: 503)
    seen = at_iteration(monkeypatch, 5, away)
    with pytest.raises(InputError, match=r"does not answer .*; expected a running MLflow server") as failed:
        train(lane.training(), lane.episodes, tmp_path / "out")
    assert "\n" not in str(failed.value)
    assert seen == list(range(1, POINTS + 1))
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    assert list((tmp_path / ".local" / "states").iterdir())
    between.fault = lambda method, path, body: None
    open_run = run_of(MlflowClient(), tmp_path / "out")
    seen.clear()
    capsys.readouterr()
    assert trained(lane, tmp_path / "out").info.run_id == open_run.info.run_id
    assert seen == []
    assert f"continues from iteration {POINTS}" in capsys.readouterr().out
    assert not list((tmp_path / ".local" / "states").iterdir())


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/runs/update"), ("PUT", "/artifacts"), ("POST", "/runs/log-batch")]
)
def test_a_short_outage_at_the_end_is_borne(
    lane: Lane, between: Relay, tmp_path: Path, method: str, path: str
) -> None:
    """When the weights are sent, when the row ends, and when its last tags are set."""
    faults = iter([503, 0, 500])
    between.fault = lambda verb, place, body: (
        next(faults, None)
        if verb == method and path in place and (tmp_path / "out" / WEIGHTS).exists()
        else None
    )
    trained(lane, tmp_path / "out")
    assert next(faults, None) is None


def test_a_fault_of_the_code_is_not_passed_over(
    lane: Lane, between: Relay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What keeps metrics from being sent, whatever it is, ends the step."""
    log_batch = MlflowClient.log_batch

    def broken(client: MlflowClient, run_id: str, **what: list[object]) -> object:
        if what.get("metrics"):
            raise ZeroDivisionError
        return log_batch(client, run_id, **what)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "log_batch", broken)
    with pytest.raises(ZeroDivisionError):
        train(lane.training(), lane.episodes, tmp_path / "out")


def test_metrics_that_the_server_refuses_end_the_step_in_one_line(
    lane: Lane, between: Relay, tmp_path: Path
) -> None:
    """Another try would not help, so nobody waits; the training is not lost."""
    between.fault = lambda method, path, body: (
        403 if path.endswith("/log-batch") and b"train_loss" in body else None
    )
    with pytest.raises(InputError, match=r"refuses this .*error code 403") as failed:
        train(lane.training(), lane.episodes, tmp_path / "out")
    assert not isinstance(failed.value, AwayError)
    assert (tmp_path / "out" / WEIGHTS).exists()
