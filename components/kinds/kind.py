"""What every kind of task can do: the one interface between the steps and sines, pictures or policies."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
from torch import Tensor

from components.artifacts.checkpoint import Trained
from components.artifacts.episodes import Episodes
from components.config.settings import TaskSettings, Training
from metasgd.digests import tensors_digest
from metasgd.learner import Learner, Meta
from metasgd.loop import Outcome, Resume, Watch
from metasgd.parallel import ALONE, Workers

THREADS = 2  # of scoring; fixed, because the order of additions decides the last bits of a score


class Hooks(NamedTuple):
    """What goes along with a training.

    watch: told every point of the curve. resume: keeps the state. check: called at the start of every
    iteration; raises what ends the training there. workers: the processes that share it.
    """

    watch: Watch
    resume: Resume | None = None
    check: Callable[[], None] = lambda: None
    workers: Workers = ALONE


class Kind(Protocol):
    """A kind of task; an instance holds the tasks of one episodes folder.

    schema: the section `tasks` of an experiment, which draws them.
    scored_by: the step that scores.
    networks, learners, optimiser: of `network`, `algorithms` and `train`, what fits such tasks.
    """

    schema: ClassVar[type[TaskSettings]]
    scored_by: ClassVar[Literal["evaluate", "rollout"]]
    networks: ClassVar[tuple[str, ...]]
    learners: ClassVar[tuple[str, ...]]
    optimiser: ClassVar[Literal["adam", "trpo"]]

    @property
    def parameters(self) -> TaskSettings: ...

    @property
    def episodes(self) -> Episodes: ...

    @classmethod
    def of(cls, episodes: Episodes) -> Self:
        """What its settings drew. Raises InputError where that is damaged."""
        ...

    def fit(self, learner: Learner, training: Training, hooks: Hooks) -> Outcome:
        """Meta-train. Raises TrainingDivergedError."""
        ...

    def validation_score(self, learner: Learner) -> Callable[[Meta], float]:
        """(theta, alpha) -> mean score on the validation tasks, with the shots and steps of meta-training."""
        ...

    def scores(self, learner: Learner, meta: Meta, name: str, shots: int) -> Tensor:
        """Scores [tasks, steps + 1] of a set, before adaptation and after each inner step."""
        ...

    def draw(self, trained: Trained, lane: Sequence[Trained], folder: Path) -> None:
        """The figures of one checkpoint of the lane, whose figures share axes, into an existing folder."""
        ...

    def draw_lane(self, lane: Sequence[Trained], folder: Path) -> list[Path]:
        """What shows the lane as a whole, into the results folder; returns what every run keeps, too."""
        ...

    def example(self, learner: Learner, meta: Meta) -> dict[str, np.ndarray]:
        """The first gate task, as the served model takes it."""
        ...

    def scoring_conditions(self) -> str:
        """What decides a score besides the stored tasks, the pictures, shots and queries."""
        ...


def gate_scores(kind: Kind, learner: Learner, meta: Meta) -> Tensor:
    """Scores [tasks] on the gate tasks, as served, after the learner's own number of test steps."""
    scores = kind.scores(learner.served, meta, "gate", kind.parameters.reported_shots)
    return scores[:, learner.settings.test_steps]


def task_set(kind: Kind, name: str, shots: int) -> str:
    """SHA-256 of what decides a score on the stored tasks of one set."""
    content, pictures = tensors_digest(kind.episodes.stored[name]), kind.episodes.manifest.pictures
    scored = f"{pictures}/{content}/{shots}/{kind.parameters.stored.test_queries}{kind.scoring_conditions()}"
    return hashlib.sha256(scored.encode()).hexdigest()
