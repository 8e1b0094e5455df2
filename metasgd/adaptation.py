"""The inner step, theta' = theta - alpha * grad L(theta), and the learners that differ in alpha.

    learner = Learner.build(problem, network_settings, learner_settings)
    meta = learner.initial(generator)               # (theta, alpha)
    adapted = learner.adapt(meta, Examples(x, y))   # one step, for one task
    outputs = learner.predict(adapted, query_x)

Training, evaluation and serving all go through `Learner.adapt` and `Learner.predict`; for many tasks at
once, they wrap them in `torch.func.vmap`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad

from metasgd.configuration import LearnerSettings, NetworkSettings
from metasgd.errors import InputError
from metasgd.heads import first_rows, gather, spread
from metasgd.networks import Network, build
from metasgd.objectives import OBJECTIVES, Objective
from metasgd.tasks import Batch, Examples
from metasgd.trees import Parameters


class Meta(NamedTuple):
    """What meta-training learns.

    theta: the start of every adaptation.
    alpha: step size and direction; per parameter, with theta's names and shapes (Meta-SGD), or one
        0-dimensional tensor named "all" (scalar and fixed rates), or nothing.
    """

    theta: Parameters
    alpha: Parameters


class Adapted(NamedTuple):
    """What adapting to a task leaves: all that predictions need.

    theta: theta', the parameters after the inner steps.
    context: what normalises query examples (`metasgd.networks.Network.context`).
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


def inner_step(theta: Parameters, alpha: Parameters, gradients: Parameters) -> Parameters:
    """theta - alpha * gradients, element by element (equation 2; negative alpha climbs)."""
    shared = alpha.get("all")
    return {
        name: value - (alpha[name] if shared is None else shared) * gradients[name]
        for name, value in theta.items()
    }


def _drawn(bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand((), generator=generator)


@dataclass(frozen=True)
class Learner:
    """Meta-SGD, MAML and their relatives: one inner step, differently shaped alpha."""

    problem: Problem
    architecture: NetworkSettings
    settings: LearnerSettings
    network: Network
    objective: Objective

    @staticmethod
    def build(problem: Problem, network: NetworkSettings, settings: LearnerSettings) -> "Learner":
        return Learner(
            problem=problem,
            architecture=network,
            settings=settings,
            network=build(network, problem.input_shape, problem.outputs),
            objective=OBJECTIVES[problem.objective],
        )

    def initial(self, generator: torch.Generator) -> Meta:
        """Random theta; alpha all at one value drawn from the range `start`, but for `layers`.

        Raises InputError for a layer that the network does not have.
        """
        theta = self.network.initial(generator)
        start = _drawn(self.settings.start, generator)
        match self.settings.alpha:
            case "per-parameter":
                layers = {name: name.partition(".")[0] for name in theta}
                own = {layer: _drawn(bounds, generator) for layer, bounds in self.settings.layers.items()}
                if unknown := own.keys() - layers.values():
                    known = ", ".join(dict.fromkeys(layers.values()))
                    raise InputError(f"layers names {min(unknown)!r}; expected some of {known}")
                starts = {name: own.get(layer, start) for name, layer in layers.items()}
                alpha = {name: starts[name].expand_as(value).clone() for name, value in theta.items()}
            case "scalar" | "fixed":
                alpha = {"all": start}
            case "none":
                alpha = {}
        return Meta(theta, alpha)

    @property
    def served(self) -> "Learner":
        """The same learner, whose predictions for an example do not depend on the other query examples."""
        return replace(self, network=self.network.served)

    def for_ways(self, meta: Meta, ways: int) -> tuple["Learner", Meta]:
        """The classifier of another number of classes, on the same start.

        With a row per class it has no row for more classes than it was trained for, and takes the first rows
        for fewer. Raises InputError.
        """
        trained = self.problem.outputs
        if ways == trained:
            return self, meta
        if ways < 2 or (ways > trained and not self.network.shares_head):
            allowed = "2 or more" if self.network.shares_head else f"2 to {trained} (network.head: per-class)"
            raise InputError(f"{ways} classes; expected {allowed}")
        learner = Learner.build(replace(self.problem, outputs=ways), self.architecture, self.settings)
        if not self.network.shares_head:
            meta = Meta(*(first_rows(part, ways) for part in meta))
        return learner, meta

    def spread(self, meta: Meta) -> Meta:
        """(theta, alpha) at the start of a task: a shared head has a row for each class there."""
        if not self.network.shares_head:
            return meta
        return Meta(*(spread(part, self.problem.outputs) for part in meta))

    def gather(self, derivatives: Meta) -> Meta:
        """Derivatives by what `spread` gives, to those by what it takes: its adjoint."""
        if not self.network.shares_head:
            return derivatives
        return Meta(*(gather(part) for part in derivatives))

    def learned(self, meta: Meta) -> list[Tensor]:
        """The tensors that meta-training moves."""
        alpha = [] if self.settings.alpha == "fixed" else list(meta.alpha.values())
        return [*meta.theta.values(), *alpha]

    def with_learned(self, meta: Meta, values: Sequence[Tensor]) -> Meta:
        """meta with other values in the places of `learned`."""
        theta = dict(zip(meta.theta, values, strict=False))
        alpha = meta.alpha
        if self.settings.alpha != "fixed":
            alpha = dict(zip(meta.alpha, values[len(theta) :], strict=True))
        return Meta(theta, alpha)

    @property
    def adapts(self) -> bool:
        """Whether there is an inner step at all."""
        return self.settings.alpha != "none"

    def support_loss(self, theta: Parameters, support: Examples) -> Tensor:
        return self.objective.loss(self.network(theta, support.x), support.y)

    def inner_steps(
        self, meta: Meta, support: Examples, steps: int
    ) -> Iterator[tuple[Parameters, Parameters]]:
        """On one task's support examples: each step's gradient, and theta after it."""
        theta, alpha = self.spread(meta)
        for _ in range(steps if self.adapts else 0):
            gradients = grad(self.support_loss)(theta, support)
            if self.settings.order == "first":
                # Only the gradient is a constant: alpha still learns through the update.
                gradients = {name: value.detach() for name, value in gradients.items()}
            theta = inner_step(theta, alpha, gradients)
            yield gradients, theta

    def adaptations(self, meta: Meta, support: Examples, steps: int) -> Iterator[Adapted]:
        """Before any inner step on one task's support examples, then after each one."""
        before = self.adapted(self.spread(meta).theta, support)
        yield before
        if not self.adapts:
            yield from repeat(before, steps)
        for _, theta in self.inner_steps(meta, support, steps):
            yield self.adapted(theta, support)

    def adapt(self, meta: Meta, support: Examples, steps: int = 1) -> Adapted:
        """`steps` inner steps on one task's support examples."""
        *_, adapted = self.adaptations(meta, support, steps)
        return adapted

    def adapted(self, theta: Parameters, support: Examples) -> Adapted:
        """theta with what else predictions need of the support examples."""
        return Adapted(theta, self.network.context(theta, support.x))

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """Outputs [query, outputs] for query examples."""
        return self.network(adapted.theta, x, adapted.context)

    def query_loss(self, adapted: Adapted, task: Batch) -> Tensor:
        """One task's term of the meta-objective: the loss on its query examples."""
        return self.objective.loss(self.predict(adapted, task.query_x), task.query_y)
