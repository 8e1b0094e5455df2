"""A tiny lane for the tests of the steps: small sine tasks, a small network, a few iterations."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.artifacts.runs import RUN
from components.config.code import ROOT
from components.config.environment import LOCAL
from components.config.settings import Training
from components.evaluate.step import evaluate
from components.kinds.experiment import Experiment, load_experiment
from components.preprocess.step import preprocess
from components.tracking.client import connect
from components.train.step import train

PARAMS = ROOT / "params.yaml"
SINE = "sinusoid-5shot"
TINY = (
    "compare=[meta-sgd, maml]",
    "promote.dry_run=false",
    "network.hidden=[8]",
    "train.iterations=20",
    "train.validate_every=10",
    "train.compile_from=1000000",
    "train.threads=1",
    "train.device=cpu",
    "tasks.stored.validation=5",
    "tasks.stored.gate=30",
    "tasks.stored.test=8",
    "tasks.stored.test_shots=[5, 10]",
    "tasks.stored.test_queries=20",
)


def experiment(*overrides: str, name: str = SINE) -> Experiment:
    """A sine experiment of params.yaml, shrunk."""
    return load_experiment(name, [*TINY, *overrides], PARAMS)


@contextmanager
def store(folder: Path) -> Iterator[MlflowClient]:
    """A tracking store of its own: sqlite and artifacts under `folder`, which is the current folder."""
    place = folder / LOCAL / "mlflow.db"
    if not place.exists():
        place.parent.mkdir()
        place.write_bytes(empty_store())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "")  # so that leaving takes back what connect() sets
        yield connect()


@cache
def empty_store() -> bytes:
    """MLflow takes six seconds to create its tables: once for a process."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "")
        connect()
        return (Path(folder) / LOCAL / "mlflow.db").read_bytes()


class Lane:
    """One experiment's folders under `root`, each step run when it is asked for."""

    def __init__(self, root: Path, *overrides: str, name: str = SINE) -> None:
        self.root = root
        self.experiment = experiment(*overrides, name=name)
        self.episodes = root / "episodes"
        self.results = root / "results"
        preprocess(self.experiment.tasks, self.episodes)

    def training(self, algorithm: str = "meta-sgd", seed: int = 1) -> Training:
        return self.experiment.training(algorithm, seed)

    def checkpoint(self, algorithm: str = "meta-sgd", seed: int = 1) -> Path:
        return self.root / "checkpoints" / f"{algorithm}-seed{seed}"

    def train(self, algorithm: str = "meta-sgd", seed: int = 1) -> Path:
        train(self.training(algorithm, seed), self.episodes, self.checkpoint(algorithm, seed))
        return self.checkpoint(algorithm, seed)

    def evaluate(self, *checkpoints: Path) -> Path:
        evaluate(checkpoints, self.episodes, self.results)
        return self.results


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def run_of(client: MlflowClient, checkpoint: Path) -> Run:
    """The MLflow run of a checkpoint's training."""
    return client.get_run(read(checkpoint / RUN)["run_id"])


def artifacts(client: MlflowClient, run_id: str, folder: str = "") -> set[str]:
    """The names of a run's files, in all folders."""
    found: set[str] = set()
    for entry in client.list_artifacts(run_id, folder or None):
        found |= artifacts(client, run_id, entry.path) if entry.is_dir else {entry.path}
    return found
