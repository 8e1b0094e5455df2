"""What kinds have in common whose tasks are labelled examples."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from components.artifacts.checkpoint import Trained
from components.artifacts.episodes import Episodes
from components.config.settings import TaskSettings, Training
from components.kinds.kind import THREADS, Hooks
from components.kinds.stopping import checked
from metasgd.configuration import NETWORKS, TrainingSettings
from metasgd.evaluation import score
from metasgd.learner import Learner, Meta
from metasgd.loop import Outcome, pick_device
from metasgd.seeds import generator
from metasgd.tasks import Batch, TaskDistribution
from metasgd.training import meta_train

S = TypeVar("S", bound=TaskSettings)


@dataclass(frozen=True)
class Supervised(Generic[S]):
    """Implements `components.kinds.kind.Kind`; a kind adds `schema`, `of` and `distribution`."""

    parameters: S
    episodes: Episodes
    scored_by: ClassVar[Literal["evaluate", "rollout"]] = "evaluate"
    networks: ClassVar[tuple[str, ...]] = tuple(kind for kind in NETWORKS if kind != "policy")
    learners: ClassVar[tuple[str, ...]] = ("gradient",)
    optimiser: ClassVar[Literal["adam", "trpo"]] = "adam"

    @abstractmethod
    def distribution(self, name: str) -> TaskDistribution:
        """p(T) of "train", "validation", "gate" or "test"."""

    def batch(self, name: str, shots: int) -> Batch:
        """The stored tasks of one set, with `shots` examples (of each class) to adapt on."""
        queries = self.parameters.stored.test_queries
        return self.distribution(name).stored_batch(self.episodes.stored[name], shots, queries)

    def in_training(self, learner: Learner, device: torch.device) -> tuple[Learner, TaskDistribution]:
        """What is trained there, and on which tasks; (theta, alpha) are the learner's own."""
        return learner, self.distribution("train")

    def fit(self, learner: Learner, training: Training, hooks: Hooks) -> Outcome:
        assert isinstance(training.train, TrainingSettings)  # noqa: S101  # by `optimiser`
        # Validation is the leader's alone.
        validate = self.validation_score(learner) if hooks.workers.leads else lambda meta: 0.0
        trained, distribution = self.in_training(learner, pick_device(training.train.device))
        return meta_train(
            trained, checked(distribution, hooks.check), validate, training.train, training.seed,
            watch=hooks.watch, resume=hooks.resume, workers=hooks.workers,
        )  # fmt: skip

    def validation_score(self, learner: Learner) -> Callable[[Meta], float]:
        batch, steps = self.batch("validation", self.parameters.distribution.shots), learner.settings.steps
        return lambda meta: float(score(learner, meta, batch, steps=steps)[:, -1].mean())

    def scores(self, learner: Learner, meta: Meta, name: str, shots: int) -> Tensor:
        torch.set_num_threads(THREADS)
        return score(learner, meta, self.batch(name, shots), learner.settings.test_steps)

    def draw(self, trained: Trained, lane: Sequence[Trained], folder: Path) -> None:
        from components.plots.alpha import draw_alpha
        from components.plots.curves import learning_curve
        from components.plots.style import save

        curve = trained.curve()
        if len(curve):
            metric = trained.learner.objective.metric
            beside = [other for one in lane if len(other := one.curve())]
            figure = learning_curve(curve, metric, trained.about.chosen_iteration, beside)
            save(figure, folder / "learning-curve.svg")
        draw_alpha(trained.alpha, folder, [one.alpha for one in lane])

    def draw_lane(self, lane: Sequence[Trained], folder: Path) -> list[Path]:
        return []

    def example(self, learner: Learner, meta: Meta) -> dict[str, np.ndarray]:
        batch = self.batch("gate", self.parameters.reported_shots)
        names = ("support_examples", "support_labels", "query_examples")
        return {name: tensor[0].numpy() for name, tensor in zip(names, batch, strict=False)}

    def scoring_conditions(self) -> str:
        return ""


def draw_set(distribution: TaskDistribution, tasks: TaskSettings, name: str) -> dict[str, Tensor]:
    """The tasks of one set, decided by the tasks' seed alone."""
    stored = tasks.stored
    count = getattr(stored, name)
    # Validation tasks are adapted to with the shots of meta-training.
    shots = max(*stored.test_shots, tasks.distribution.shots)
    stream = generator(tasks.seed, f"{name} tasks")
    return distribution.draw_stored(count, shots, stored.test_queries, stream)
