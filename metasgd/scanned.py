"""Many outer steps in one compiled call, for networks so small that calling is what costs.

The call is a loop in C++ over iterations: the meta-gradient and Adam, whose numbers lie in one vector for
theta and one for alpha. It moves all by what `OneByOne` would, to rounding.

torch has this loop under a private name only; a torch without it takes one outer step after the other.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam as adam_

from metasgd.configuration import TrainingSettings
from metasgd.engine import in_pieces
from metasgd.learner import Learner, Meta
from metasgd.meta_gradient import compilable
from metasgd.networks import Mlp, multiplied_out
from metasgd.tasks import Batch
from metasgd.trees import flatten, unflatten

ITERATIONS_PER_CALL = 200  # at most: by then the call costs next to nothing
SCAN_SINCE = (2, 15)  # the oldest torch whose loop was seen to do this; that of 2.6 cannot
SMALL_BATCH = 100  # examples of a meta-batch, up to which loops that fuse beat calls of matrix products


class Vectors(NamedTuple):
    """A group of Adam's parameters and what it keeps of them. steps: taken so far, 0-dimensional."""

    values: Tensor
    averages: Tensor
    squares: Tensor
    steps: Tensor


def iterations_per_call(settings: TrainingSettings) -> int:
    """A number that divides the way from each point of the curve to the next."""
    way = math.gcd(max(1, settings.iterations // 100), settings.validate_every, settings.iterations)
    return max(count for count in range(1, ITERATIONS_PER_CALL + 1) if way % count == 0)


def scans(learner: Learner, settings: TrainingSettings, meta: Meta) -> bool:
    """Whether several iterations are one call: on one thread of a CPU, with a network that is small."""
    on_cpu = next(iter(meta.theta.values())).device.type == "cpu"
    small = settings.threads == 1 and isinstance(learner.network, Mlp)
    return on_cpu and small and iterations_per_call(settings) > 1 and find_scan() is not None


def find_scan() -> Callable[..., Any] | None:
    """torch's loop over iterations that a graph can hold; None in a torch that has none that can do this."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < SCAN_SINCE:
        return None
    try:
        scan: Callable[..., Any] = import_module("torch._higher_order_ops.scan").scan
    except (ImportError, AttributeError):
        return None
    return scan


class Scanned:
    """Implements `metasgd.outer_step.OuterSteps`, on the CPU."""

    def __init__(self, learner: Learner, settings: TrainingSettings, adam: torch.optim.Adam) -> None:
        self.learner, self.clip, self.adam = learner, settings.clip, adam
        self.per_call, self.scan = iterations_per_call(settings), find_scan()
        self.gradients = {
            small: in_pieces(compilable(_for_small_batches(learner) if small else learner), settings.chunk)
            for small in (True, False)
        }
        self.compiled = torch.compile(
            self._iterations, fullgraph=True, dynamic=False, options={"cpp_wrapper": True}
        )

    def __call__(self, meta: Meta, batches: Iterable[Batch], rates: Tensor) -> Tensor:
        batches = iter(batches)
        parts = torch.split(rates.float(), self.per_call)
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
        examples = batches.support_x[0, ..., 0].numel() + batches.query_x[0, ..., 0].numel()
        gradient = self.gradients[examples <= SMALL_BATCH]
        shapes = [tensor.shape for tensor in self.learner.learned(meta)]
        sizes = [len(values) for values, *_ in groups]

        def iteration(
            groups: list[list[Tensor]], given: tuple[Tensor, Batch]
        ) -> tuple[list[list[Tensor]], Tensor]:
            rates, batch = given
            values = unflatten(torch.cat([values for values, *_ in groups]), shapes)
            found, loss = gradient(self.learner.with_learned(meta, values), batch)
            gradients = torch.split(self._clipped(flatten(self.learner.learned(found))), sizes)
            each = zip(groups, gradients, rates.unbind(), strict=True)
            return [[*self._moved(Vectors(*group), part, rate)] for group, part, rate in each], loss

        assert self.scan is not None  # noqa: S101  # `scans` asked for it
        moved: tuple[list[list[Tensor]], Tensor] = self.scan(iteration, groups, (rates, batches))
        return moved

    def _clipped(self, gradient: Tensor) -> Tensor:
        """As torch.nn.utils.clip_grad_norm_ does it."""
        if not self.clip:
            return gradient
        norm = torch.linalg.vector_norm(gradient)
        return gradient * torch.clamp(self.clip / (norm + 1e-6), max=1.0)

    def _moved(self, vectors: Vectors, gradient: Tensor, rate: Tensor) -> Vectors:
        values, averages, squares, steps = (tensor.clone() for tensor in vectors)
        chosen = self.adam.defaults
        adam_(
            [values], [gradient], [averages], [squares], [], [steps], foreach=False, lr=rate,
            beta1=chosen["betas"][0], beta2=chosen["betas"][1], eps=chosen["eps"],
            weight_decay=0, amsgrad=False, maximize=False,
        )  # fmt: skip
        return Vectors(values, averages, squares, steps)

    def _gathered(self, tensors: Sequence[Tensor]) -> Vectors:
        values = flatten(tensors)
        states = [self.adam.state[tensor] for tensor in tensors]
        if not states[0]:
            return Vectors(values, torch.zeros_like(values), torch.zeros_like(values), torch.zeros(()))
        averages, squares = (flatten([state[key] for state in states]) for key in ("exp_avg", "exp_avg_sq"))
        return Vectors(values, averages, squares, states[0]["step"])

    def _scatter(self, tensors: Sequence[Tensor], vectors: Vectors) -> None:
        shapes = [tensor.shape for tensor in tensors]
        parts = (unflatten(vector, shapes) for vector in vectors[:3])
        for tensor, value, average, square in zip(tensors, *parts, strict=True):
            tensor.copy_(value)
            self.adam.state[tensor] = {
                "step": vectors.steps.clone(), "exp_avg": average.clone(), "exp_avg_sq": square.clone()
            }  # fmt: skip


def _for_small_batches(learner: Learner) -> Learner:
    """The same, without a call of a library for every product of two small matrices."""
    if not isinstance(learner.network, Mlp):
        return learner
    return replace(learner, network=replace(learner.network, multiply=multiplied_out))
