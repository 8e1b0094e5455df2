"""What a training that was interrupted is compared with."""

from pathlib import Path

from mlflow import MlflowClient

from components.artifacts.checkpoint import CURVE
from components.train.step import train
from metasgd.checkpoint import WEIGHTS
from tests.components.lane import Lane


def runs(client: MlflowClient) -> int:
    return len(client.search_runs([found.experiment_id for found in client.search_experiments()]))


def ends_as_the_whole_one(lane: Lane, output: Path, state: Path | None = None) -> None:
    train(lane.training(), lane.episodes, output, state)
    assert (output / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    assert (output / CURVE).read_bytes() == (lane.checkpoint() / CURVE).read_bytes()
