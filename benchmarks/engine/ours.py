"""This project's meta-iteration: what `metasgd.training` runs, on a batch that stays."""

import torch

from benchmarks.engine.workloads import Arrays, Workload
from metasgd.adaptation import Learner, Meta, Problem
from metasgd.configuration import ConvNetSettings, LearnerSettings, MlpSettings
from metasgd.engine import compiled_gradient
from metasgd.tasks import Batch


def learner(workload: Workload) -> Learner:
    settings = LearnerSettings(
        alpha="per-parameter",
        start=(0.1, 0.1),
        layers={},
        order="second",
        steps=1,
        test_steps=1,
        trained=True,
    )
    if workload.regression:
        layers = MlpSettings(kind="mlp", hidden=(workload.filters, workload.filters))
        return Learner.build(Problem("regression", (1,), 1), layers, settings)
    network = ConvNetSettings(
        kind="convnet",
        blocks=4,
        filters=workload.filters,
        halving="strides" if workload.halving == "strides" else "pooling",
        extra=0,
        transductive=True,
    )
    shape = (workload.channels, workload.size, workload.size)
    return Learner.build(Problem("classification", shape, workload.ways), network, settings)


class MetaSgdTrainer:
    """See `benchmarks.engine.peers.Trainer`."""

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(1)
        self.learner = learner(workload)
        self.meta = Meta(_tensors(workload.theta()), _tensors(workload.alpha()))
        self.batch = Batch(**{name: torch.from_numpy(array) for name, array in workload.batch().items()})
        self.gradient = compiled_gradient(self.learner, chunk=0, threads=workload.threads)
        self.learned = self.learner.learned(self.meta)
        self.adam = torch.optim.Adam(self.learned, lr=1e-3, fused=True)

    def gradients(self) -> dict[str, Arrays]:
        with torch.no_grad():
            found, _ = self.gradient(self.meta, self.batch)
        parts = {"theta": found.theta, "alpha": found.alpha}
        return {part: {name: value.numpy() for name, value in own.items()} for part, own in parts.items()}

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            with torch.no_grad():
                gradients, _ = self.gradient(self.meta, self.batch)
            for tensor, gradient in zip(self.learned, self.learner.learned(gradients), strict=True):
                tensor.grad = gradient
            self.adam.step()


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
