"""What every learner does: adapt to a task's support examples, and predict with what is left of that.

    learner = build_learner(problem, network_settings, learner_settings)   # metasgd.learners
    meta = learner.initial(generator)               # what meta-training learns
    adapted = learner.adapt(meta, Examples(x, y))   # for one task
    outputs = learner.predict(adapted, query_x)

Training, evaluation and serving all go through `Learner.adapt` and `Learner.predict`; for many tasks at
once, they wrap them in `torch.func.vmap`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from metasgd.configuration import NetworkSettings
from metasgd.errors import InputError
from metasgd.learner_settings import LearnerSettings
from metasgd.networks import Network, build
from metasgd.objectives import OBJECTIVES, Objective
from metasgd.tasks import Batch, Examples
from metasgd.trees import Parameters


class Meta(NamedTuple):
    """What meta-training learns.

    theta: the start of every adaptation, and what else is learned besides alpha.
    alpha: step size and direction; per parameter, with theta's names and shapes (Meta-SGD), or one
        0-dimensional tensor named "all" (scalar and fixed rates), or matrices (`metasgd.curvature`), or
        nothing.
    """

    theta: Parameters
    alpha: Parameters


class Adapted(NamedTuple):
    """What adapting to a task leaves: all that predictions need.

    theta: theta', the parameters after the inner steps.
    context: what else was kept of the support examples: what normalises query examples
        (`metasgd.networks.Network.context`), and what these are compared with.
    """

    theta: Parameters
    context: Parameters


@dataclass(frozen=True)
class Problem:
    """What a network has to fit: the objective's name, the shape of an example, the number of outputs.

    discount: of later rewards; only control has any.
    """

    objective: str
    input_shape: tuple[int, ...]
    outputs: int
    discount: float = 1.0


@dataclass(frozen=True)
class Learner(ABC):
    """A way to adapt. network: what its theta are the parameters of, or begin with."""

    problem: Problem
    architecture: NetworkSettings
    settings: LearnerSettings
    network: Network
    objective: Objective

    @classmethod
    def of(cls, problem: Problem, architecture: NetworkSettings, settings: LearnerSettings) -> Self:
        """For settings without a problem. Raises InputError for examples that the network cannot take."""
        network = build(architecture, problem.input_shape, problem.outputs)
        return cls(problem, architecture, settings, network, OBJECTIVES[problem.objective])

    @classmethod
    def problem_with(cls, network: NetworkSettings, settings: LearnerSettings) -> str | None:
        """Why it cannot have such a network: "key is value; expected …"."""
        return None

    @abstractmethod
    def initial(self, generator: torch.Generator) -> Meta:
        """(theta, alpha) before meta-training."""

    @abstractmethod
    def adaptations(self, meta: Meta, support: Examples, steps: int) -> Iterator[Adapted]:
        """Before any inner step on one task's support examples, then after each one."""

    @abstractmethod
    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """Outputs [query, outputs] for query examples."""

    @property
    @abstractmethod
    def any_ways(self) -> bool:
        """Whether it takes tasks of any number of classes."""

    @property
    def vectorises(self) -> bool:
        """Whether it runs well under `vmap` over many tasks; else they go one after the other."""
        return self.network.vectorises

    @property
    def served(self) -> Self:
        """The same learner, whose predictions for an example do not depend on the other query examples."""
        return replace(self, network=self.network.served)

    def adapt(self, meta: Meta, support: Examples, steps: int = 1) -> Adapted:
        """`steps` inner steps on one task's support examples."""
        *_, adapted = self.adaptations(meta, support, steps)
        return adapted

    def query_loss(self, adapted: Adapted, task: Batch) -> Tensor:
        """One task's term of the meta-objective: the loss on its query examples."""
        return self.objective.loss(self.predict(adapted, task.query_x), task.query_y)

    def for_ways(self, meta: Meta, ways: int) -> tuple["Learner", Meta]:
        """The same for tasks of another number of classes, on the same start. Raises InputError."""
        trained = self.problem.outputs
        if ways == trained:
            return self, meta
        if ways < 2 or (ways > trained and not self.any_ways):
            allowed = "2 or more" if self.any_ways else f"2 to {trained} (network.head: per-class)"
            raise InputError(f"{ways} classes; expected {allowed}")
        return self.of(replace(self.problem, outputs=ways), self.architecture, self.settings), meta

    def learned(self, meta: Meta) -> list[Tensor]:
        """The tensors that meta-training moves."""
        return [*meta.theta.values(), *meta.alpha.values()]

    def with_learned(self, meta: Meta, values: Sequence[Tensor]) -> Meta:
        """meta with other values in the places of `learned`."""
        theta = dict(zip(meta.theta, values, strict=False))
        alpha = dict(zip(meta.alpha, values[len(theta) :], strict=False))
        return Meta(theta, {**meta.alpha, **alpha})
