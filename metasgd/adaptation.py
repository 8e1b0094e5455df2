"""The inner step, theta' = theta - alpha * grad L(theta), and the learners that differ in alpha."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor
from torch.func import grad

from metasgd.configuration import ConvNetSettings, NetworkSettings
from metasgd.curvature import bent, matrices
from metasgd.errors import InputError
from metasgd.heads import detached, first_rows, gather, in_head, spread, zeroed
from metasgd.learner import Adapted, Learner, Meta
from metasgd.learner_settings import GradientSettings, LearnerSettings
from metasgd.tasks import Examples
from metasgd.trees import Parameters


def inner_step(theta: Parameters, alpha: Parameters, gradients: Parameters) -> Parameters:
    """theta - alpha * gradients, element by element (equation 2; negative alpha climbs).

    Where alpha is made of matrices, they take the place of the product. What has no gradient stays.
    """
    shared = alpha.get("all")
    if shared is not None:
        moved = {name: theta[name] - shared * gradient for name, gradient in gradients.items()}
    else:
        moved = {name: theta[name] - bent(alpha, name, gradient) for name, gradient in gradients.items()}
    return {**theta, **moved}


def _drawn(bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand((), generator=generator)


@dataclass(frozen=True)
class SteppingLearner(Learner):
    """Learners that adapt by moving the network's parameters, step by step."""

    @abstractmethod
    def thetas(self, meta: Meta, support: Examples, steps: int) -> Iterator[Parameters]:
        """theta after each inner step on one task's support examples."""

    @property
    def any_ways(self) -> bool:
        return self.network.shares_head

    def for_ways(self, meta: Meta, ways: int) -> tuple[Learner, Meta]:
        """With a row per class there is none for more classes than trained for; fewer take the first rows.

        Raises InputError.
        """
        learner, meta = super().for_ways(meta, ways)
        if not self.network.shares_head:
            meta = Meta(*(first_rows(part, ways) for part in meta))
        return learner, meta

    def spread(self, meta: Meta) -> Meta:
        """(theta, alpha) at the start of a task: a shared head has a row for each class there."""
        if not self.network.shares_head:
            return meta
        return Meta(*(spread(part, self.problem.outputs) for part in meta))

    def support_loss(self, theta: Parameters, support: Examples) -> Tensor:
        return self.objective.loss(self.network(theta, support.x), support.y)

    def adaptations(self, meta: Meta, support: Examples, steps: int) -> Iterator[Adapted]:
        yield self.adapted(self.spread(meta).theta, support)
        for theta in self.thetas(meta, support, steps):
            yield self.adapted(theta, support)

    def adapted(self, theta: Parameters, support: Examples) -> Adapted:
        """theta with what else predictions need of the support examples."""
        return Adapted(theta, self.network.context(theta, support.x))

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        return self.network(adapted.theta, x, adapted.context)


@dataclass(frozen=True)
class GradientLearner(SteppingLearner):
    """Meta-SGD, MAML and their relatives: one inner step, differently shaped alpha."""

    settings: GradientSettings

    @classmethod
    def problem_with(cls, network: NetworkSettings, settings: LearnerSettings) -> str | None:
        assert isinstance(settings, GradientSettings)  # noqa: S101  # by `metasgd.learners.LEARNERS`
        shared = isinstance(network, ConvNetSettings) and network.head == "shared"
        if settings.ways and not shared:
            return f"ways is {settings.ways}; expected 0, as only a shared head takes more classes"
        if shared and settings.adapts == "body":
            return "network.head is 'shared'; expected 'per-class', as adapts 'body' leaves equal rows equal"
        return None

    def initial(self, generator: torch.Generator) -> Meta:
        """Random theta; alpha all at one value drawn from the range `start`, but for `layers`.

        Raises InputError for a layer that the network does not have.
        """
        theta = self.network.initial(generator)
        start = _drawn(self.settings.start, generator)
        match self.settings.alpha:
            case "per-parameter":
                moved = self.moved(theta)
                layers = {name: name.partition(".")[0] for name in moved}
                own = {layer: _drawn(bounds, generator) for layer, bounds in self.settings.layers.items()}
                if unknown := own.keys() - layers.values():
                    known = ", ".join(dict.fromkeys(layers.values()))
                    raise InputError(f"layers names {min(unknown)!r}; expected some of {known}")
                starts = {name: own.get(layer, start) for name, layer in layers.items()}
                alpha = {name: starts[name].expand_as(value).clone() for name, value in moved.items()}
            case "curvature":
                alpha = matrices(self.moved(theta), start)
            case "scalar" | "fixed":
                alpha = {"all": start}
            case "none":
                alpha = {}
        return Meta(theta, alpha)

    @property
    def row_is_idle(self) -> bool:
        """Whether a shared row adds the same to every class's logit, before and after adapting.

        So it does after one step, which leaves the layers before it where they were. Its gradient is zero
        then; Adam would make large steps of its rounding.
        """
        return self.network.shares_head and self.settings.steps == 1

    def spread(self, meta: Meta) -> Meta:
        start = super().spread(meta)
        return start._replace(theta=detached(start.theta)) if self.row_is_idle else start

    def gather(self, derivatives: Meta) -> Meta:
        """Derivatives by what `spread` gives, to those by what it takes: its adjoint."""
        if not self.network.shares_head:
            return derivatives
        by_theta, by_alpha = (gather(part) for part in derivatives)
        return Meta(zeroed(by_theta) if self.row_is_idle else by_theta, by_alpha)

    def learned(self, meta: Meta) -> list[Tensor]:
        alpha = [] if self.settings.alpha == "fixed" else list(meta.alpha.values())
        return [*meta.theta.values(), *alpha]

    @property
    def takes_steps(self) -> bool:
        """Whether there is an inner step at all."""
        return self.settings.alpha != "none"

    def moved(self, theta: Parameters) -> Parameters:
        """The part of theta that inner steps move."""
        if self.settings.adapts == "all":
            return theta
        head = self.settings.adapts == "head"
        return {name: value for name, value in theta.items() if in_head(name, theta) == head}

    def moved_first(self, theta: Parameters) -> Parameters:
        """The part that the first step moves.

        The rows of a shared head are equal there. What the classes' errors pass back to the features, (p - y)
        times a row, adds up to zero, as p and y each add up to one: there is no gradient to be computed.
        """
        moved = self.moved(theta)
        if not self.network.shares_head:
            return moved
        return {name: value for name, value in moved.items() if in_head(name, theta)}

    def loss_of_moved(self, moved: Parameters, theta: Parameters, support: Examples) -> Tensor:
        """The support loss at theta with other values in the part that inner steps move."""
        return self.support_loss({**theta, **moved}, support)

    def inner_steps(
        self, meta: Meta, support: Examples, steps: int
    ) -> Iterator[tuple[Parameters, Parameters]]:
        """On one task's support examples: each step's gradient, and theta after it."""
        theta, alpha = self.spread(meta)
        for number in range(steps if self.takes_steps else 0):
            moved = self.moved_first(theta) if number == 0 else self.moved(theta)
            gradients = grad(self.loss_of_moved)(moved, theta, support)
            if self.settings.order == "first":
                # Only the gradient is a constant: alpha still learns through the update.
                gradients = {name: value.detach() for name, value in gradients.items()}
            theta = inner_step(theta, alpha, gradients)
            yield gradients, theta

    def thetas(self, meta: Meta, support: Examples, steps: int) -> Iterator[Parameters]:
        if not self.takes_steps:
            yield from repeat(self.spread(meta).theta, steps)
        for _, theta in self.inner_steps(meta, support, steps):
            yield theta
