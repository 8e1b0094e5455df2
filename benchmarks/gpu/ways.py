"""Ways to compute one meta-iteration on a device: this project's, and others'. All are `peers.Trainer`s."""

from collections.abc import Callable
from itertools import repeat

import torch

from benchmarks.engine import peers
from benchmarks.engine.ours import batch, learner, settings, start
from benchmarks.engine.workloads import Workload
from benchmarks.gpu.precision import lowered
from metasgd.captured import Captured
from metasgd.engine import compiled_gradient, eager_gradient
from metasgd.learner import Meta
from metasgd.outer_step import OneByOne, build_adam, rates
from metasgd.tasks import Batch

Found = tuple[Meta, torch.Tensor]


class Ours:
    """`metasgd.training.outer_steps`, with what it would choose given. bf16: the meta-gradient's products."""

    def __init__(self, workload: Workload, precision: str, compiled: bool, captured: bool) -> None:
        own, chosen = learner(workload), settings(workload)
        make = compiled_gradient(own, 0, chosen.threads) if compiled else eager_gradient(own, 0)

        def gradient(meta: Meta, batch: Batch) -> Found:
            with lowered(precision, workload.device):
                return make(meta, batch)

        self.settings, self.meta, self.batch = chosen, start(workload), batch(workload)
        self.adam = build_adam(own, self.meta, chosen)
        steps = OneByOne(own, gradient, chosen, self.adam)
        self.steps = Captured(steps) if captured else steps

    def run(self, iterations: int) -> None:
        chosen = rates(self.adam, self.settings, range(iterations))
        losses = self.steps(self.meta, repeat(self.batch, iterations), chosen)
        if not losses.isfinite().all():
            raise ValueError("a loss is not finite")


class Theirs:
    """A peer of `benchmarks.engine`, in a precision of torch."""

    def __init__(self, workload: Workload, precision: str, peer: Callable[[Workload], peers.Trainer]) -> None:
        self.workload, self.precision, self.trainer = workload, precision, peer(workload)

    def run(self, iterations: int) -> None:
        with lowered(self.precision, self.workload.device):
            self.trainer.run(iterations)


def jax(workload: Workload, precision: str) -> peers.Trainer:
    """Its precisions of products have names of their own."""
    import jax as library

    names = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}
    library.config.update("jax_default_matmul_precision", names[precision])
    if (found := library.default_backend().replace("gpu", "cuda")) != workload.device:
        raise ValueError(f"JAX has no {workload.device} here, but {found}")
    return peers.jax(workload)


WAYS: dict[str, Callable[[Workload, str], peers.Trainer | Ours | Theirs]] = {
    "captured": lambda workload, precision: Ours(workload, precision, compiled=True, captured=True),
    "captured-eager": lambda workload, precision: Ours(workload, precision, compiled=False, captured=True),
    "compiled": lambda workload, precision: Ours(workload, precision, compiled=True, captured=False),
    "eager": lambda workload, precision: Ours(workload, precision, compiled=False, captured=False),
    "textbook": lambda workload, precision: Theirs(workload, precision, peers.textbook),
    "torchopt": lambda workload, precision: Theirs(workload, precision, peers.torchopt),
    "jax": jax,
}
CUDA_ONLY = ("captured", "captured-eager")
