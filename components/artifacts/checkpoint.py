"""The checkpoint folder: what train writes, and evaluate, promote and serving read.

weights.safetensors, checkpoint.json   theta and alpha, and what rebuilds the learner (metasgd.checkpoint)
curve.csv                              the learning curve
run.json                               the MLflow run, and the seconds it took: no output of DVC's, because
                                       they differ from run to run
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.artifacts.runs import RUN, RunRecord, read_run, write_run
from components.config.parsing import from_document, to_document
from components.config.preparation import Preparation
from components.config.settings import Training
from metasgd.checkpoint import (
    WEIGHTS,
    learner_with_later_keys,
    load_checkpoint,
    network_with_later_keys,
    save_checkpoint,
)
from metasgd.errors import InputError
from metasgd.learner import Learner, Meta, Problem
from metasgd.learner_settings import GradientSettings
from metasgd.loop import Outcome
from metasgd.own_folder import own_folder, require_whole

CURVE = "curve.csv"
# Keys of trainings, as checkpoints from before they had their present names spell them.
RENAMED = {"divergence": "max_kl", "shrink": "backtrack_ratio"}


@dataclass(frozen=True)
class Origin:
    """Of a training, what tells it from its siblings: readable whatever other parameters it had."""

    algorithm: str
    seed: int


@dataclass(frozen=True)
class About:
    """What a checkpoint remembers of its training.

    data: the manifest's hash of the episodes.
    tasks, preparation: the experiment's section `tasks`, and what became of its pictures, by which serving
        prepares examples; earlier checkpoints lack them.
    """

    training: Training
    data: str
    chosen_iteration: int
    device: str
    compiled: bool
    torch: str
    tasks: dict[str, Any] | None = None
    preparation: Preparation | None = None


@dataclass(frozen=True)
class Trained:
    """A checkpoint, loaded.

    weights: SHA-256 of the file of its weights. run: the MLflow run of its training, where that is known.
    """

    folder: Path
    learner: Learner
    meta: Meta
    about: About
    weights: str
    run: RunRecord | None

    @property
    def name(self) -> str:
        return self.about.training.name

    @property
    def alpha(self) -> dict[str, np.ndarray]:
        """Rates by layer, in the network's order; none where alpha is made of matrices."""
        settings = self.learner.settings
        if isinstance(settings, GradientSettings) and settings.alpha == "curvature":
            return {}
        return {name: value.numpy() for name, value in self.meta.alpha.items()}

    @property
    def is_finished(self) -> bool:
        """Whether the training came to its last iteration; false where it diverged."""
        if not self.learner.settings.trained:
            return True
        iterations = self.curve()["iteration"]
        return bool(len(iterations)) and int(iterations.iloc[-1]) == self.about.training.train.iterations

    def curve(self) -> pd.DataFrame:
        """Columns iteration, one per measured value, validation (NaN between validations)."""
        return pd.read_csv(self.folder / CURVE)


def write_checkpoint(folder: Path, learner: Learner, outcome: Outcome, about: About, run: RunRecord) -> None:
    """Write the folder, whole or not at all."""
    with own_folder(folder, "components.train", passing=[RUN]) as place:
        save_checkpoint(place, learner, outcome.meta, to_document(about))
        _curve(outcome).to_csv(place / CURVE, index=False)
        write_run(place / RUN, replace(run, weights=_digest(place)))


def _curve(outcome: Outcome) -> pd.DataFrame:
    rows = [
        {"iteration": point.iteration, **point.values, "validation": point.validation}
        for point in outcome.curve
    ]
    # A curve that diverged at once has no points.
    return pd.DataFrame(rows, columns=None if rows else ["iteration", "validation"])


def load_trained(folder: Path, problem: Problem) -> Trained:
    """Raises InputError for one that is damaged, for another problem, or that no train step wrote."""
    learner, meta, about = _load(folder)
    if learner.problem != problem:
        raise InputError(f"{folder}: was trained for {learner.problem}; expected {problem}")
    document = {**about, "training": _training(about, folder)}
    weights, run = _digest(folder), read_run(folder / RUN)
    if run and run.weights not in (None, weights):  # the record of other weights, which were there before
        run = None
    if run and run.seconds is None:  # once they stood beside the training
        run = replace(run, seconds=about.get("seconds"))
    return Trained(folder, learner, meta, from_document(About, document, str(folder)), weights, run)


def _load(folder: Path) -> tuple[Learner, Meta, dict[str, Any]]:
    require_whole(folder)
    return load_checkpoint(folder)


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def load_champion(folder: Path, where: str) -> tuple[Learner, Meta, Origin]:
    """A checkpoint that may be from an earlier version of the code, with other parameters.

    where: what it is, for messages.
    """
    learner, meta, about = _load(folder)
    return learner, meta, from_document(Origin, _training(about, where), where)


@dataclass(frozen=True)
class Examples:
    """How a checkpoint takes examples, as far as it says so: `tasks` and `preparation` of About."""

    tasks: dict[str, Any] | None = None
    preparation: Preparation | None = None


def load_served(folder: Path, where: str) -> tuple[Learner, Meta, Origin, Examples]:
    """As `load_champion`, with what prepares examples for it."""
    learner, meta, about = _load(folder)
    examples = {key: about.get(key) for key in ("tasks", "preparation")}
    origin = from_document(Origin, _training(about, where), where)
    return learner, meta, origin, from_document(Examples, examples, where)


def _training(about: Mapping[str, Any], where: Path | str) -> dict[str, Any]:
    """The parameters of a training under their present names; they once were JSON in a string."""
    found = about.get("training")
    with suppress(ValueError):
        found = json.loads(found) if isinstance(found, str) else found
    if not isinstance(found, dict) or not isinstance(found.get("train"), dict):
        raise InputError(f"{where}: holds no training's parameters; expected an output of the train step")
    train = {RENAMED.get(key, key): value for key, value in found["train"].items()}
    learner, network = found.get("learner", {}), found.get("network", {})
    return {
        **found,
        "learner": learner_with_later_keys(learner),
        "network": network_with_later_keys(network),
        "train": train,
    }
