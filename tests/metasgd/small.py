"""Small problems for the tests of the method."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metasgd.configuration import (
    ConvNetSettings,
    EpisodeSettings,
    MlpSettings,
    NavigationSettings,
    PolicySettings,
    SinusoidSettings,
    TrainingSettings,
    TrpoSettings,
)
from metasgd.learner import Learner, Meta, Problem
from metasgd.learner_settings import GradientSettings
from metasgd.learners import build_learner
from metasgd.policy_adaptation import Environments, collect, unadapted
from metasgd.rollouts import Dynamics, Tasks, Trajectories
from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.tasks.navigation import Navigation
from metasgd.tasks.sinusoid import Sinusoid

LINE = Problem("regression", (1,), 1)
ALPHAS = ("per-parameter", "scalar", "fixed", "none")


def learner_settings(alpha: Any = "per-parameter", **changes: Any) -> GradientSettings:
    settings: dict[str, Any] = {
        "kind": "gradient",
        "adapts": "all",
        "start": (0.01, 0.05),
        "layers": {},
        "order": "second",
        "steps": 1,
        "test_steps": 1,
        "ways": 0,
        "trained": True,
    }
    return GradientSettings(alpha=alpha, **(settings | changes))


def sine_learner(alpha: Any = "per-parameter", hidden: tuple[int, ...] = (8,), **changes: Any) -> Learner:
    """A fully connected learner of curves; hidden=() is the line y = w x + b."""
    return build_learner(LINE, MlpSettings("mlp", hidden), learner_settings(alpha, **changes))


def convnet_settings(**changes: Any) -> ConvNetSettings:
    settings: dict[str, Any] = {
        "blocks": 2,
        "filters": 3,
        "halving": "strides",
        "extra": 0,
        "normalisation": "transductive",
        "head": "per-class",
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
        "optimiser": "adam",
        "iterations": 12,
        "meta_batch": 3,
        "rate": 0.01,
        "alpha_rate": 1.0,
        "schedule": "constant",
        "clip": 0.0,
        "validate_every": 4,
        "select": "last",
        "threads": 1,
        "processes": 1,
        "chunk": 0,
        "compile_from": 1_000_000,
        "device": "cpu",
    }
    return TrainingSettings(**(settings | changes))


def navigation(**changes: Any) -> Navigation:
    """The paper's plane: goals within 0.5 of the fixed start, 100 steps of up to 0.1."""
    settings: dict[str, Any] = {
        "kind": "navigation",
        "shots": 20,
        "queries": 20,
        "goal": (-0.5, 0.5),
        "start": (0.0, 0.0),
        "horizon": 100,
        "speed": 0.1,
        "clip": 1.0,
        "tolerance": 0.01,
        "reward": "distance",
        "discount": 0.99,
    }
    return Navigation(NavigationSettings(**(settings | changes)))


def policy_learner(
    alpha: Any = "per-parameter",
    hidden: tuple[int, ...] = (4,),
    std: float = 1.0,
    discount: float = 0.9,
    **changes: Any,
) -> Learner:
    """A Gaussian policy from two numbers to two; hidden=() makes its mean linear in them."""
    problem = Problem("control", (2,), 2, discount)
    architecture = PolicySettings("policy", hidden, std, least_std=1e-6)
    return build_learner(problem, architecture, learner_settings(alpha, **({"start": (0.1, 0.1)} | changes)))


def trpo_settings(**changes: Any) -> TrpoSettings:
    """6 iterations of 3 tasks on the CPU, validated every 2nd."""
    settings: dict[str, Any] = {
        "optimiser": "trpo",
        "iterations": 6,
        "meta_batch": 3,
        "discount": 0.99,
        "estimator": "dice",
        "decay": 0.9,
        "max_kl": 0.01,
        "schedule": "constant",
        "conjugate_gradients": 10,
        "fisher_trajectories": 2,
        "damping": 1e-5,
        "backtracks": 15,
        "backtrack_ratio": 0.8,
        "validate_every": 2,
        "select": "last",
        "threads": 1,
        "device": "cpu",
    }
    return TrpoSettings(**(settings | changes))


def trajectories(
    learner: Learner, meta: Meta, dynamics: Dynamics, tasks: Tasks, count: int, seed: int = 1
) -> Trajectories:
    """What the policy before any adaptation does on every task."""
    environments = Environments(dynamics, tasks)
    policies = unadapted(meta, len(environments))
    return collect(learner, policies, environments, count, generator(seed, "test noise"))


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


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "numbers"), dtype=torch.float64)


def hessian(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """[numbers, numbers]"""
    found: Tensor = torch.autograd.functional.hessian(function, at)
    return found.reshape(at.numel(), at.numel())
