"""What a training that was interrupted is compared with."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.artifacts.checkpoint import CURVE
from components.tracking.outbox import Outbox
from components.train.step import train
from metasgd.checkpoint import WEIGHTS
from tests.components.lane import Lane, run_of

POINTS = 20  # of the lane's curve


def at_iteration(monkeypatch: pytest.MonkeyPatch, iteration: int, act: Callable[[], object]) -> list[int]:
    """Do something in the middle of a training; returns the points that its curve gets."""
    log, seen = Outbox.log_metrics, list[int]()

    def logged(outbox: Outbox, values: dict[str, float], step: int) -> None:
        seen.append(step)
        if step == iteration:
            act()
        log(outbox, values, step)

    monkeypatch.setattr(Outbox, "log_metrics", logged)
    return seen


def whole(lane: Lane, output: Path) -> Run:
    """The run of a training that is over: whole, and with the weights of one that met no fault."""
    assert (output / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    client = MlflowClient()
    run = run_of(client, output)
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [point.step for point in history] == list(range(1, POINTS + 1))
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"checkpoint"}
    return run


def runs(client: MlflowClient) -> int:
    return len(client.search_runs([found.experiment_id for found in client.search_experiments()]))


def ends_as_the_whole_one(lane: Lane, output: Path, state: Path | None = None) -> None:
    train(lane.training(), lane.episodes, output, state)
    assert (output / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    assert (output / CURVE).read_bytes() == (lane.checkpoint() / CURVE).read_bytes()
