"""Meta-training (Algorithm 1): theta and alpha learn jointly, from the loss after the inner step.

    outcome = meta_train(learner, distribution, validate, settings, seed=1)
    outcome.meta         # the chosen (theta, alpha)

All tasks of a meta-batch run at once under `torch.func.vmap`. Two runs with one seed give the same
bits: every source of randomness is a seeded generator, and nothing is decided by timing.
"""

import math
import os
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from metasgd.adaptation import Learner, Meta
from metasgd.configuration import TrainingSettings
from metasgd.errors import DivergedError
from metasgd.seeds import generator
from metasgd.tasks import Batch, TaskDistribution

MetaGradient = Callable[[Meta, Batch], tuple[Meta, Tensor]]


@dataclass(frozen=True)
class Point:
    """One point of the learning curve. validation is None between validations."""

    iteration: int
    train_loss: float
    validation: float | None


@dataclass
class TrainingState:
    """Everything that decides the rest of a run; what a resume file holds."""

    meta: Meta
    optimiser: torch.optim.Adam
    tasks: torch.Generator
    best: Meta
    iteration: int = 0
    best_iteration: int = 0
    best_score: float | None = None
    curve: list[Point] = field(default_factory=list)

    @staticmethod
    def start(
        learner: Learner, settings: TrainingSettings, seed: int, device: torch.device
    ) -> "TrainingState":
        meta = copy(learner.initial(generator(seed, "theta")), device)
        # One fused kernel for all tensors; CPU and CUDA have it.
        optimiser = torch.optim.Adam(learner.learned(meta), lr=settings.rate, fused=True)
        return TrainingState(meta, optimiser, generator(seed, "tasks"), best=copy(meta))


@dataclass(frozen=True)
class Outcome:
    """The chosen (theta, alpha), the iteration it is from, and how it came about."""

    meta: Meta
    iteration: int
    curve: list[Point]
    compiled: bool
    device: str


class Resume(Protocol):
    """Where a training's state is kept; `metasgd.resume.ResumeFile` is one."""

    def restore(self, state: TrainingState) -> None:
        """Continue from what was saved, if anything was."""
        ...

    def save(self, state: TrainingState) -> None: ...


class TrainingDivergedError(DivergedError):
    """Carries the last good outcome, so that it can be kept."""

    def __init__(self, iteration: int, value: float, outcome: Outcome, what: str = "meta-loss") -> None:
        super().__init__(
            f"the {what} is {value} at iteration {iteration}; expected a finite number: "
            f"the checkpoint of iteration {outcome.iteration} is kept; "
            "try a smaller train.rate or start of alpha"
        )
        self.outcome = outcome


def copy(meta: Meta, device: torch.device | None = None) -> Meta:
    """The same numbers in tensors of their own."""
    return Meta(*({name: value.to(device, copy=True) for name, value in part.items()} for part in meta))


def meta_gradient(learner: Learner) -> MetaGradient:
    """(theta, alpha), batch -> the meta-objective's gradient and value: equation 5, as a mean over tasks."""

    def meta_loss(meta: Meta, batch: Batch) -> Tensor:
        losses = vmap(lambda task: learner.query_loss(meta, task, learner.settings.steps))(batch)
        return losses.mean()

    gradient: MetaGradient = grad_and_value(meta_loss)
    return gradient


def compiles(settings: TrainingSettings) -> bool:
    """Whether this run compiles: it is long enough by its declared iterations, and a compiler is there."""
    return settings.iterations >= settings.compile_from and has_compiler()


def has_compiler() -> bool:
    """torch.compile needs a C++ compiler and Python's headers."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which(os.environ.get("CXX", "g++")) is not None and header.exists()


def pick_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def meta_train(
    learner: Learner,
    distribution: TaskDistribution,
    validate: Callable[[Meta], float],
    settings: TrainingSettings,
    seed: int,
    *,
    watch: Callable[[Point], None] = lambda point: None,
    resume: Resume | None = None,
) -> Outcome:
    """Run Algorithm 1.

    validate: scores (theta, alpha) on the validation tasks; by its best, `settings.select: best`
        chooses the checkpoint.
    watch: told every point of the learning curve as it appears.
    resume: where the state is kept at every validation, and found again.
    Raises TrainingDivergedError (an InputError) when the loss stops being finite.
    """
    torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    state = TrainingState.start(learner, settings, seed, device)
    if resume is not None:
        resume.restore(state)
    compiled = compiles(settings)
    gradient = meta_gradient(learner)
    if compiled:
        gradient = torch.compile(gradient, fullgraph=True, dynamic=False)
    iterations = settings.iterations if learner.settings.trained else 0

    def outcome() -> Outcome:
        return Outcome(state.best, state.best_iteration, state.curve, compiled, device.type)

    while state.iteration < iterations:
        losses = _run(learner, distribution, gradient, settings, state, _until_next_point(state, settings))
        if not losses.isfinite().all():
            first = int(losses.isfinite().int().argmin())
            raise TrainingDivergedError(
                state.iteration - len(losses) + first + 1, float(losses[first]), outcome()
            )
        due = state.iteration % settings.validate_every == 0 or state.iteration == iterations
        point = Point(state.iteration, float(losses.mean()), validate(state.meta) if due else None)
        if point.validation is not None and not math.isfinite(point.validation):
            # The last update broke theta, which only the next loss would show.
            raise TrainingDivergedError(state.iteration, point.validation, outcome(), "validation score")
        state.curve.append(point)
        if point.validation is not None:
            _choose(learner, settings, state, point.validation)
            if resume is not None:
                resume.save(state)
        watch(point)
    return outcome()


def outer_rate(settings: TrainingSettings, iteration: int) -> float:
    """Adam's step size at an iteration, counted from 0."""
    if settings.schedule == "constant":
        return settings.rate
    return settings.rate * 0.5 * (1 + math.cos(math.pi * iteration / settings.iterations))


def _until_next_point(state: TrainingState, settings: TrainingSettings) -> int:
    """Iterations to the next point of the curve: every hundredth of the run, and every validation."""
    every = max(1, settings.iterations // 100)
    done = state.iteration
    return min(
        every - done % every,
        settings.validate_every - done % settings.validate_every,
        settings.iterations - done,
    )


def _run(
    learner: Learner,
    distribution: TaskDistribution,
    gradient: MetaGradient,
    settings: TrainingSettings,
    state: TrainingState,
    iterations: int,
) -> Tensor:
    """Some iterations; returns their losses [iterations], read from the device only at the end."""
    learned = learner.learned(state.meta)
    losses = []
    for iteration in range(state.iteration, state.iteration + iterations):
        state.optimiser.param_groups[0]["lr"] = outer_rate(settings, iteration)
        batch = distribution.sample(settings.meta_batch, state.tasks).to(learned[0].device)
        with torch.no_grad():
            gradients, loss = gradient(state.meta, batch)
        for tensor, tensor_gradient in zip(learned, learner.learned(gradients), strict=True):
            tensor.grad = tensor_gradient
        state.optimiser.step()
        losses.append(loss)
    state.iteration += iterations
    return torch.stack(losses).cpu()


def _choose(learner: Learner, settings: TrainingSettings, state: TrainingState, score: float) -> None:
    """Keep the current (theta, alpha) if it is the one to keep so far."""
    if settings.select == "last" or learner.objective.better(score, state.best_score):
        state.best, state.best_iteration, state.best_score = copy(state.meta), state.iteration, score
