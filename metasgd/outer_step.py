"""The outer step of Algorithm 1: Adam moves theta and alpha against the meta-gradient.

adam = build_adam(learner, meta, settings)
losses = OneByOne(learner, gradient, settings, adam)(meta, batches, rates(adam, settings, range(10)))
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from metasgd.configuration import TrainingSettings
from metasgd.learner import Learner, Meta
from metasgd.loop import scheduled
from metasgd.meta_gradient import MetaGradient
from metasgd.tasks import Batch


class OuterSteps(Protocol):
    def __call__(self, meta: Meta, batches: Iterable[Batch], rates: Tensor) -> Tensor:
        """Move theta, alpha and Adam's state, in place, by an iteration for every meta-batch.

        rates: Adam's step sizes, float64 [iterations, groups].
        Returns each iteration's loss before its update [iterations], on the CPU.
        """
        ...


def build_adam(learner: Learner, meta: Meta, settings: TrainingSettings) -> torch.optim.Adam:
    """Over theta and alpha, with a group for each; one fused kernel, which CPU and CUDA have."""
    theta, alpha = learner.learned(Meta(meta.theta, {})), learner.learned(Meta({}, meta.alpha))
    groups = [{"params": theta, "share": 1.0}, {"params": alpha, "share": settings.alpha_rate}]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=settings.rate, fused=True)


def rates(adam: torch.optim.Adam, settings: TrainingSettings, iterations: range) -> Tensor:
    """The scheduled step size of each of Adam's groups, float64 [iterations, groups]."""
    shares = [settings.rate * group["share"] for group in adam.param_groups]
    rows = [[share * scheduled(settings, iteration) for share in shares] for iteration in iterations]
    return torch.tensor(rows, dtype=torch.float64)


class OneByOne:
    """A call of the gradient, and one of Adam, for every iteration. Implements `OuterSteps`."""

    def __init__(
        self, learner: Learner, gradient: MetaGradient, settings: TrainingSettings, adam: torch.optim.Adam
    ) -> None:
        self.learner, self.gradient, self.clip, self.adam = learner, gradient, settings.clip, adam

    def __call__(self, meta: Meta, batches: Iterable[Batch], rates: Tensor) -> Tensor:
        pairs = zip(batches, rates.tolist(), strict=True)
        losses = [self.iteration(meta, batch, chosen) for batch, chosen in pairs]
        return torch.stack(losses).cpu()  # read from the device only here

    def iteration(self, meta: Meta, batch: Batch, rates: Sequence[float | Tensor]) -> Tensor:
        """Returns the loss, where theta lies. rates: of each of Adam's groups."""
        for group, rate in zip(self.adam.param_groups, rates, strict=True):
            group["lr"] = rate
        learned = self.learner.learned(meta)
        with torch.no_grad():
            gradients, loss = self.gradient(meta, batch.to(learned[0].device))
        for tensor, gradient in zip(learned, self.learner.learned(gradients), strict=True):
            tensor.grad = gradient
        if self.clip:
            torch.nn.utils.clip_grad_norm_(learned, self.clip)
        self.adam.step()
        return loss
