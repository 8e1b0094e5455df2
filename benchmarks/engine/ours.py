"""This project's meta-iteration: what `metasgd.training` runs, on a batch that stays."""

from itertools import repeat

import torch

from benchmarks.engine.workloads import MULTIPLE, Arrays, Workload
from metasgd.configuration import ConvNetSettings, MlpSettings, TrainingSettings
from metasgd.learner import Learner, Meta, Problem
from metasgd.learner_settings import GradientSettings
from metasgd.learners import build_learner
from metasgd.outer_step import build_adam, rates
from metasgd.tasks import Batch
from metasgd.training import outer_steps


def learner(workload: Workload) -> Learner:
    settings = GradientSettings(
        kind="gradient",
        alpha="per-parameter",
        start=(0.1, 0.1),
        layers={},
        adapts="all",
        order="second",
        steps=1,
        test_steps=1,
        ways=0,
        trained=True,
    )
    if workload.regression:
        layers = MlpSettings(kind="mlp", hidden=(workload.filters, workload.filters))
        return build_learner(Problem("regression", (1,), 1), layers, settings)
    network = ConvNetSettings(
        kind="convnet",
        blocks=4,
        filters=workload.filters,
        halving="strides" if workload.halving == "strides" else "pooling",
        extra=0,
        normalisation="transductive",
        head="per-class",
    )
    shape = (workload.channels, workload.size, workload.size)
    return build_learner(Problem("classification", shape, workload.ways), network, settings)


def settings(workload: Workload) -> TrainingSettings:
    return TrainingSettings(
        optimiser="adam",
        iterations=100 * MULTIPLE,  # of a long run: they say how many are one call, and that it compiles
        meta_batch=workload.tasks,
        rate=1e-3,
        alpha_rate=1.0,
        schedule="constant",
        clip=0.0,
        validate_every=100 * MULTIPLE,
        select="last",
        threads=workload.threads,
        processes=1,
        chunk=0,
        compile_from=1,
        device=workload.device,
    )


class MetaSgdTrainer:
    """See `benchmarks.engine.peers.Trainer`."""

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(1)  # as in `meta_train`: the threads take a piece of the meta-batch each
        self.regression = workload.regression
        self.learner, self.settings = learner(workload), settings(workload)
        self.meta, self.batch = start(workload), batch(workload)
        self.adam = build_adam(self.learner, self.meta, self.settings)
        self.outer_steps = outer_steps(self.learner, self.settings, self.adam, self.meta)

    def gradients(self) -> dict[str, Arrays]:
        """By what will be timed: steps of size zero, after which Adam's average tells what it averaged."""
        count = MULTIPLE if self.regression else 1
        self._step(torch.zeros(count, len(self.adam.param_groups)))
        weight = 1 - self.adam.defaults["betas"][0] ** count
        found = [self.adam.state[tensor]["exp_avg"] / weight for tensor in self.learner.learned(self.meta)]
        parts = self.learner.with_learned(self.meta, found)._asdict()
        return {
            part: {name: value.cpu().numpy() for name, value in own.items()} for part, own in parts.items()
        }

    def run(self, iterations: int) -> None:
        self._step(rates(self.adam, self.settings, range(iterations)))

    def _step(self, rates: torch.Tensor) -> None:
        self.outer_steps(self.meta, repeat(self.batch, len(rates)), rates)


def start(workload: Workload) -> Meta:
    return Meta(_tensors(workload, workload.theta()), _tensors(workload, workload.alpha()))


def batch(workload: Workload) -> Batch:
    return Batch(**_tensors(workload, workload.batch()))


def _tensors(workload: Workload, arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(workload.device) for name, array in arrays.items()}
