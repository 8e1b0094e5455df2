"""Contenders of known strength for the tests of promotion.

They are horizontal lines, and a step takes away half of what lies between them and the curve: on the same
curves, their errors are ordered by where they start, task by task far apart, and every step is worth taking.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mlflow import MlflowClient

from components.artifacts.checkpoint import CURVE
from components.artifacts.decision import Decision
from components.artifacts.results import read_json
from components.artifacts.runs import RUN
from components.config.code import ROOT
from components.config.parsing import to_document
from components.config.settings import Promotion, Training
from components.evaluate.step import evaluate
from components.promote.step import promote
from components.tracking.registry import champion
from components.tracking.runs import open_run
from metasgd.checkpoint import load_checkpoint, save_checkpoint
from metasgd.learner import Meta
from metasgd.learners import build_learner
from metasgd.own_folder import own_folder
from metasgd.seeds import generator
from tests.components.lane import Lane

CHECKOUT = ROOT
GOOD, MIDDLING, BAD = 9.0, 18.0, 36.0


@dataclass(frozen=True)
class Gate:
    """The lane whose episodes all tests share, and the store's client."""

    lane: Lane
    client: MlflowClient

    @property
    def root(self) -> Path:
        return self.lane.root


class Contest:
    """The models of one test, under an experiment's name of their own."""

    def __init__(self, gate: Gate, name: str) -> None:
        self.gate, self.name = gate, name
        self.folder = gate.root / name
        self.episodes = gate.lane.episodes

    def contender(self, offset: float, seed: int, algorithm: str = "meta-sgd", **learner: object) -> Path:
        """A checkpoint as the train step leaves it, with a run of its own."""
        trained = load_checkpoint(self.gate.lane.checkpoint())
        training: Training = self.gate.lane.training(algorithm, seed)
        training = replace(training, experiment=self.name, learner=replace(training.learner, **learner))  # type: ignore[arg-type]
        network = build_learner(trained[0].problem, training.network, training.learner)
        start = network.initial(generator(1, "theta"))
        theta = {name: torch.zeros_like(value) for name, value in start.theta.items()}
        theta["linear1.bias"] += offset
        # The gradient of a squared error is twice the distance, and zero for all but the last bias here.
        meta = Meta(theta, {name: torch.full_like(value, 0.25) for name, value in start.alpha.items()})
        checkpoint = self.folder / f"{algorithm}-{seed}"
        with own_folder(checkpoint, "components.train", passing=[RUN]) as folder:
            shutil.copy(self.gate.lane.checkpoint() / CURVE, folder)
            save_checkpoint(folder, network, meta, {**trained[2], "training": to_document(training)})
            with open_run("sinusoid", self.name, {}) as run:
                (folder / RUN).write_text(json.dumps({"run_id": run.run_id}))
        return checkpoint

    def promote(self, *checkpoints: Path, dry_run: bool = False, evaluated: bool = False) -> Decision:
        if not evaluated:
            evaluate(checkpoints, self.episodes, self.folder / "results")
        output = self.folder / "out" / "decision.json"
        promote(self.name, Promotion(dry_run), checkpoints, self.folder / "results", self.episodes, output)
        return read_json(Decision, output)

    @property
    def champion(self) -> str | None:
        return champion(self.gate.client, self.name)

    @property
    def versions(self) -> int:
        return len(self.gate.client.search_model_versions(f"name='{self.name}'"))
