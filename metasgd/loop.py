"""What all meta-training shares: the curve, validation, the choice of the checkpoint, resuming."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

from metasgd.configuration import TrainingSettings, TrpoSettings
from metasgd.errors import DivergedError, InputError
from metasgd.learner import Learner, Meta
from metasgd.seeds import generator
from metasgd.trees import copy


@dataclass(frozen=True)
class Point:
    """One point of the learning curve.

    values: what the algorithm measured since the last point. validation is None between validations.
    """

    iteration: int
    values: Mapping[str, float]
    validation: float | None


@dataclass
class TrainingState:
    """Everything that decides the rest of a run; what a resume file holds.

    optimiser: None where the algorithm keeps no state of its own.
    """

    meta: Meta
    optimiser: torch.optim.Optimizer | None
    tasks: torch.Generator
    best: Meta
    iteration: int = 0
    best_iteration: int = 0
    best_score: float | None = None
    curve: list[Point] = field(default_factory=list)

    @staticmethod
    def start(learner: Learner, seed: int, device: torch.device) -> "TrainingState":
        meta = copied(learner.initial(generator(seed, "theta")), device)
        return TrainingState(meta, None, generator(seed, "tasks"), best=copied(meta))


@dataclass(frozen=True)
class Outcome:
    """The chosen (theta, alpha), the iteration it is from, and how it came about."""

    meta: Meta
    iteration: int
    curve: list[Point]
    compiled: bool
    device: str


class Resume(Protocol):
    """Keeps a training's state from point to point; `metasgd.resume.ResumeFile` is one."""

    def restore(self, state: TrainingState) -> None:
        """Continue from what was saved, if anything was."""
        ...

    def save(self, state: TrainingState) -> None: ...


class NotFiniteError(Exception):
    """Raised within an iteration, counted from 1; the loop makes a TrainingDivergedError of it."""

    def __init__(self, what: str, iteration: int, value: float) -> None:
        super().__init__(what)
        self.what, self.iteration, self.value = what, iteration, value


class TrainingDivergedError(DivergedError):
    """Carries the last good outcome, so that it can be kept."""

    def __init__(self, problem: NotFiniteError, outcome: Outcome, advice: str) -> None:
        super().__init__(
            f"the {problem.what} is {problem.value} at iteration {problem.iteration}; expected a finite "
            f"number: the checkpoint of iteration {outcome.iteration} is kept; try a smaller {advice}"
        )
        self.outcome = outcome


# state, iterations -> the values of a point. It moves state.meta and state.iteration.
Advance = Callable[[TrainingState, int], Mapping[str, float]]
Validate = Callable[[Meta], float]
Watch = Callable[[Point], None]


def copied(meta: Meta, device: torch.device | None = None) -> Meta:
    return Meta(copy(meta.theta, device), copy(meta.alpha, device))


def pick_device(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto" for CUDA where there is any. Raises InputError for an absent GPU."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("train.device is 'cuda', and torch finds no GPU here; expected 'auto' or 'cpu'")
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)


def scheduled(settings: TrainingSettings | TrpoSettings, iteration: int) -> float:
    """The share of the first outer step's size at an iteration, counted from 0."""
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * iteration / settings.iterations))


def run(
    learner: Learner,
    settings: TrainingSettings | TrpoSettings,
    state: TrainingState,
    advance: Advance,
    validate: Validate,
    *,
    watch: Watch,
    resume: Resume | None,
    compiled: bool,
    advice: str,
) -> Outcome:
    """Advance from point to point of the curve until the last iteration.

    advice: what could be made smaller where it diverges.
    Raises TrainingDivergedError (an InputError) where a loss or score stops being finite.
    """
    if resume is not None:
        resume.restore(state)
    device = next(iter(state.meta.theta.values())).device.type
    iterations = settings.iterations if learner.settings.trained else 0
    try:
        while state.iteration < iterations:
            values = advance(state, _until_next_point(state, settings))
            due = state.iteration % settings.validate_every == 0 or state.iteration == iterations
            point = Point(state.iteration, values, validate(state.meta) if due else None)
            if point.validation is not None and not math.isfinite(point.validation):
                # The last update broke theta, which only the next loss would show.
                raise NotFiniteError("validation score", state.iteration, point.validation)
            state.curve.append(point)
            if point.validation is not None:
                _choose(learner, settings, state, point.validation)
            if resume is not None:
                resume.save(state)
            watch(point)
    except NotFiniteError as problem:
        kept = Outcome(state.best, state.best_iteration, state.curve, compiled, device)
        raise TrainingDivergedError(problem, kept, advice) from None
    return Outcome(state.best, state.best_iteration, state.curve, compiled, device)


def _until_next_point(state: TrainingState, settings: TrainingSettings | TrpoSettings) -> int:
    """Iterations to the next point of the curve: every hundredth of the run, and every validation."""
    every = max(1, settings.iterations // 100)
    done = state.iteration
    return min(
        every - done % every,
        settings.validate_every - done % settings.validate_every,
        settings.iterations - done,
    )


def _choose(
    learner: Learner, settings: TrainingSettings | TrpoSettings, state: TrainingState, score: float
) -> None:
    """Keep the current (theta, alpha) if it is the one to keep so far."""
    if settings.select == "last" or learner.objective.better(score, state.best_score):
        state.best, state.best_iteration, state.best_score = copied(state.meta), state.iteration, score
