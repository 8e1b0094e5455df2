"""Meta-training (Algorithm 1): theta and alpha learn jointly, from the loss after the inner step.

    outcome = meta_train(learner, distribution, validate, settings, seed=1)
    outcome.meta         # the chosen (theta, alpha)

All tasks of a meta-batch run at once under `torch.func.vmap`. Two runs with one seed give the same
bits: every source of randomness is a seeded generator, and nothing is decided by timing.
"""

from collections.abc import Mapping

import torch

from metasgd.captured import Captured, captures
from metasgd.configuration import TrainingSettings
from metasgd.engine import compiled_gradient, compiles, eager_gradient
from metasgd.learner import Learner, Meta
from metasgd.loop import (
    NotFiniteError,
    Outcome,
    Resume,
    TrainingState,
    Validate,
    Watch,
    pick_device,
    run,
)
from metasgd.outer_step import OneByOne, OuterSteps, build_adam, rates
from metasgd.parallel import ALONE, Workers
from metasgd.scanned import Scanned, scans
from metasgd.tasks import TaskDistribution


def meta_train(
    learner: Learner,
    distribution: TaskDistribution,
    validate: Validate,
    settings: TrainingSettings,
    seed: int,
    *,
    watch: Watch = lambda point: None,
    resume: Resume | None = None,
    workers: Workers = ALONE,
) -> Outcome:
    """Run Algorithm 1.

    validate: scores (theta, alpha) on the validation tasks; by its best, `settings.select: best`
        chooses the checkpoint.
    watch: told every point of the learning curve as it appears; values: train_loss.
    resume: where the state is kept at every point of the curve, and found again.
    workers: the processes that share every meta-batch.
    Raises TrainingDivergedError (an InputError) when the loss stops being finite.
    """
    compiled = compiles(settings)
    if compiled:
        torch.compiler.reset()  # earlier trainings of this process count towards torch's limit
    # The threads of a compiled gradient take a piece each, not each a share of every operation.
    torch.set_num_threads(1 if compiled else settings.threads)
    state = TrainingState.start(learner, seed, pick_device(settings.device))
    adam = build_adam(learner, state.meta, settings)
    state.optimiser = adam
    step = outer_steps(learner, settings, adam, state.meta, workers)

    def advance(state: TrainingState, iterations: int) -> Mapping[str, float]:
        batches = (distribution.sample(settings.meta_batch, state.tasks) for _ in range(iterations))
        numbers = range(state.iteration, state.iteration + iterations)
        losses = step(state.meta, batches, rates(adam, settings, numbers))
        if not losses.isfinite().all():
            first = int(losses.isfinite().int().argmin())
            raise NotFiniteError("meta-loss", numbers[first] + 1, float(losses[first]))
        state.iteration += iterations
        return {"train_loss": float(losses.mean())}

    advice = "train.rate or start of alpha"
    return run(
        learner,
        settings,
        state,
        advance,
        validate,
        watch=watch,
        resume=workers.follow(resume),
        compiled=compiled,
        advice=advice,
    )


def outer_steps(
    learner: Learner, settings: TrainingSettings, adam: torch.optim.Adam, meta: Meta, workers: Workers = ALONE
) -> OuterSteps:
    """The fastest way that the declared parameters allow."""
    if not compiles(settings):
        gradient = eager_gradient(learner, settings.chunk)
    elif not workers.speak and scans(learner, settings, meta):
        return Scanned(learner, settings, adam)
    else:
        gradient = compiled_gradient(learner, settings.chunk, settings.threads)
    steps = OneByOne(learner, workers.share(learner, gradient), settings, adam)
    return Captured(steps) if not workers.speak and captures(settings, meta) else steps
