"""Recorded iterations: those of `OneByOne`, whatever they are recorded by."""

from collections.abc import Callable
from dataclasses import replace

import torch

from metasgd.captured import REHEARSALS, Captured, captures
from metasgd.engine import eager_gradient
from metasgd.learner import Meta
from metasgd.meta_gradient import MetaGradient
from metasgd.outer_step import OneByOne, OuterSteps, build_adam, rates
from metasgd.tasks import Batch
from tests.metasgd.small import curves, sine_learner, start, training_settings

# Step sizes that single precision has exactly: a recording reads them from tensors.
SETTINGS = training_settings(rate=2**-7, clip=1.0, alpha_rate=0.5)
BATCHES = [curves(3, seed=seed) for seed in range(6)]


def at_hand(iteration: Callable[[], None]) -> Callable[[], None]:
    """In place of a CUDA graph: what was recorded is called again."""
    return iteration


def moved(
    build: Callable[[OneByOne], OuterSteps], gradient: MetaGradient | None = None
) -> list[torch.Tensor]:
    """Losses, theta, alpha and Adam's state after two calls of three iterations."""
    learner = sine_learner()
    meta = start(learner)
    adam = build_adam(learner, meta, SETTINGS)
    steps = build(OneByOne(learner, gradient or eager_gradient(learner, 0), SETTINGS, adam))
    losses = [
        steps(meta, BATCHES[first : first + 3], rates(adam, SETTINGS, range(first, first + 3)))
        for first in (0, 3)
    ]
    learned = learner.learned(meta)
    return [*losses, *learned, *(value for tensor in learned for value in adam.state[tensor].values())]


def test_recorded_iterations_are_iterations() -> None:
    """Bit for bit, from the first one on: rehearsals leave no trace in theta, alpha and Adam's state."""
    expected, found = moved(lambda steps: steps), moved(lambda steps: Captured(steps, at_hand))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_recording_goes_on_from_a_state_of_adam() -> None:
    """Three iterations one by one, then three recorded: as six one by one."""

    class Later:
        def __init__(self, steps: OneByOne) -> None:
            self.ways = iter([steps, Captured(steps, at_hand)])

        def __call__(self, *arguments: object) -> torch.Tensor:
            return next(self.ways)(*arguments)  # type: ignore[arg-type]

    for one, other in zip(moved(Later), moved(lambda steps: steps), strict=True):
        assert torch.equal(one, other)


def test_a_recording_reads_the_same_memory_every_time() -> None:
    """A CUDA graph knows addresses: every iteration finds its meta-batch at those of the first."""
    eager, seen = eager_gradient(sine_learner(), 0), []

    def gradient(meta: Meta, batch: Batch) -> tuple[Meta, torch.Tensor]:
        seen.append(tuple(tensor.data_ptr() for tensor in batch))
        return eager(meta, batch)

    moved(lambda steps: Captured(steps, at_hand), gradient)
    assert len(seen) == REHEARSALS + len(BATCHES)
    assert len(set(seen)) == 1


def test_the_cpu_records_nothing() -> None:
    """However long a training is; `benchmarks.gpu.check` says what a GPU does."""
    assert not captures(replace(SETTINGS, compile_from=1), start(sine_learner()))
