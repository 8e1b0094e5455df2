"""Many outer steps in one compiled call, for networks so small that calling is what costs.

The call is a loop in C++ over iterations: the meta-gradient and Adam, whose numbers lie in one vector for
theta and one for alpha. It moves all by what `OneByOne` would, to rounding.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan  # no public name has it yet
from torch.optim.adam import adam as adam_

from metasgd.adaptation import Learner, Meta
from metasgd.configuration import TrainingSettings
from metasgd.engine import in_pieces
from metasgd.meta_gradient import adjoint
from metasgd.networks import Mlp, multiplied_out
from metasgd.tasks import Batch

TOGETHER = 200  # iterations in one call, at most: by then the call costs next to nothing
FEW = 100  # examples of a meta-batch, up to which loops that fuse beat calls of matrix products


class Vectors(NamedTuple):
    """A group of Adam's parameters and what it keeps of them. steps: taken so far, 0-dimensional."""

    values: Tensor
    averages: Tensor
    squares: Tensor
    steps: Tensor


def together(settings: TrainingSettings) -> int:
    """Iterations in one call: a number that divides the way from each point of the curve to the next."""
    way = math.gcd(max(1, settings.iterations // 100), settings.validate_every, settings.iterations)
    return max(count for count in range(1, TOGETHER + 1) if way % count == 0)


class Scanned:
    """Implements `metasgd.outer_step.Descent`, on the CPU."""

    def __init__(self, learner: Learner, settings: TrainingSettings, adam: torch.optim.Adam) -> None:
        self.learner, self.clip, self.adam = learner, settings.clip, adam
        self.together = together(settings)
        self.gradients = {
            few: in_pieces(adjoint(_for_few(learner) if few else learner), settings.chunk)
            for few in (True, False)
        }
        self.compiled = torch.compile(
            self._iterations, fullgraph=True, dynamic=False, options={"cpp_wrapper": True}
        )

    def __call__(self, meta: Meta, batches: Iterable[Batch], rates: Tensor) -> Tensor:
        batches = iter(batches)
        parts = torch.split(rates.float(), self.together)
        with torch.no_grad():
            losses = [self._call(meta, list(islice(batches, len(part))), part) for part in parts]
        return torch.cat(losses)

    def _call(self, meta: Meta, batches: Sequence[Batch], rates: Tensor) -> Tensor:
        stacked = Batch(*(torch.stack(part) for part in zip(*batches, strict=True)))
        groups = [[*self._gathered(group["params"])] for group in self.adam.param_groups]
        moved, losses = self.compiled(groups, meta, rates, stacked)
        for group, vectors in zip(self.adam.param_groups, moved, strict=True):
            self._scatter(group["params"], Vectors(*vectors))
        return losses

    def _iterations(
        self, groups: list[list[Tensor]], meta: Meta, rates: Tensor, batches: Batch
    ) -> tuple[list[list[Tensor]], Tensor]:
        """All of this is one compiled graph.

        groups: Vectors, as the lists that `scan` takes. rates, batches: stacked over iterations.
        """
        few = batches.support_x[0, ..., 0].numel() + batches.query_x[0, ..., 0].numel() <= FEW
        gradient = self.gradients[few]
        shapes = [tensor.shape for tensor in self.learner.learned(meta)]
        sizes = [len(values) for values, *_ in groups]

        def iteration(
            groups: list[list[Tensor]], given: tuple[Tensor, Batch]
        ) -> tuple[list[list[Tensor]], Tensor]:
            rates, batch = given
            values = _split(torch.cat([values for values, *_ in groups]), shapes)
            found, loss = gradient(self.learner.with_learned(meta, values), batch)
            slopes = torch.split(self._clipped(_joined(self.learner.learned(found))), sizes)
            each = zip(groups, slopes, rates.unbind(), strict=True)
            return [[*self._moved(Vectors(*group), slope, rate)] for group, slope, rate in each], loss

        moved: tuple[list[list[Tensor]], Tensor] = scan(iteration, groups, (rates, batches))
        return moved

    def _clipped(self, slopes: Tensor) -> Tensor:
        """As torch.nn.utils.clip_grad_norm_ does it."""
        if not self.clip:
            return slopes
        norm = torch.linalg.vector_norm(slopes)
        return slopes * torch.clamp(self.clip / (norm + 1e-6), max=1.0)

    def _moved(self, vectors: Vectors, slopes: Tensor, rate: Tensor) -> Vectors:
        values, averages, squares, steps = (tensor.clone() for tensor in vectors)
        chosen = self.adam.defaults
        adam_(
            [values], [slopes], [averages], [squares], [], [steps], foreach=False, lr=rate,
            beta1=chosen["betas"][0], beta2=chosen["betas"][1], eps=chosen["eps"],
            weight_decay=0, amsgrad=False, maximize=False,
        )  # fmt: skip
        return Vectors(values, averages, squares, steps)

    def _gathered(self, tensors: Sequence[Tensor]) -> Vectors:
        values = _joined(tensors)
        states = [self.adam.state[tensor] for tensor in tensors]
        if not states[0]:
            return Vectors(values, torch.zeros_like(values), torch.zeros_like(values), torch.zeros(()))
        averages, squares = (_joined([state[key] for state in states]) for key in ("exp_avg", "exp_avg_sq"))
        return Vectors(values, averages, squares, states[0]["step"])

    def _scatter(self, tensors: Sequence[Tensor], vectors: Vectors) -> None:
        shapes = [tensor.shape for tensor in tensors]
        parts = (_split(vector, shapes) for vector in vectors[:3])
        for tensor, value, average, square in zip(tensors, *parts, strict=True):
            tensor.copy_(value)
            self.adam.state[tensor] = {
                "step": vectors.steps.clone(), "exp_avg": average.clone(), "exp_avg_sq": square.clone()
            }  # fmt: skip


def _for_few(learner: Learner) -> Learner:
    """The same, for few examples: no call of a library for every product of two small matrices."""
    if not isinstance(learner.network, Mlp):
        return learner
    return replace(learner, network=replace(learner.network, multiply=multiplied_out))


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _split(vector: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    parts = torch.split(vector, [shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
