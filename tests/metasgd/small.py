"""Small problems for the tests of the method."""

from typing import Any

import torch

from metasgd.adaptation import Learner, Meta, Problem
from metasgd.configuration import (
    ConvNetSettings,
    EpisodeSettings,
    LearnerSettings,
    MlpSettings,
    SinusoidSettings,
    TrainingSettings,
)
from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.tasks.sinusoid import Sinusoid

LINE = Problem("regression", (1,), 1)
ALPHAS = ("per-parameter", "scalar", "fixed", "none")


def learner_settings(alpha: Any = "per-parameter", **changes: Any) -> LearnerSettings:
    settings: dict[str, Any] = {
        "start": (0.01, 0.05),
        "order": "second",
        "steps": 1,
        "test_steps": 1,
        "trained": True,
    }
    return LearnerSettings(alpha=alpha, **(settings | changes))


def sine_learner(alpha: Any = "per-parameter", hidden: tuple[int, ...] = (8,), **changes: Any) -> Learner:
    """A fully connected learner of curves; hidden=() is the line y = w x + b."""
    return Learner.build(LINE, MlpSettings("mlp", hidden), learner_settings(alpha, **changes))


def convnet_settings(**changes: Any) -> ConvNetSettings:
    settings: dict[str, Any] = {
        "blocks": 2,
        "filters": 3,
        "halving": "strides",
        "extra": 0,
        "transductive": True,
    }
    return ConvNetSettings(kind="convnet", **(settings | changes))


def episode_settings(ways: int, shots: int, queries: int) -> EpisodeSettings:
    return EpisodeSettings(ways=ways, shots=shots, queries=queries)


def sinusoid(**changes: Any) -> Sinusoid:
    """The paper's curves, 5 points to adapt on and 10 that score."""
    settings: dict[str, Any] = {
        "shots": 5,
        "queries": 10,
        "amplitude": (0.1, 5.0),
        "frequency": (0.8, 1.2),
        "phase": (0.0, torch.pi),
        "interval": (-5.0, 5.0),
    }
    return Sinusoid(SinusoidSettings(**(settings | changes)))


def training_settings(**changes: Any) -> TrainingSettings:
    """12 iterations of 3 tasks on the CPU, validated every 4th, never compiled."""
    settings: dict[str, Any] = {
        "iterations": 12,
        "meta_batch": 3,
        "rate": 0.01,
        "schedule": "constant",
        "validate_every": 4,
        "select": "last",
        "threads": 1,
        "compile_from": 1_000_000,
        "device": "cpu",
    }
    return TrainingSettings(**(settings | changes))


def start(learner: Learner, seed: int = 1) -> Meta:
    return learner.initial(generator(seed, "theta"))


def curves(count: int, seed: int = 1, shots: int = 5) -> Batch:
    """Sine tasks of their own for this seed."""
    return sinusoid(shots=shots).sample(count, generator(seed, "test tasks"))


def double(batch: Batch) -> Batch:
    """The same tasks in float64; class numbers stay what they are."""
    return Batch(*(value.double() if value.is_floating_point() else value for value in batch))


def as_double(meta: Meta) -> Meta:
    return Meta(*({name: value.double() for name, value in part.items()} for part in meta))


def same(one: Meta, other: Meta) -> bool:
    """The same names and, bit for bit, the same numbers."""
    return all(
        mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
        for mine, theirs in zip(one, other, strict=True)
    )
