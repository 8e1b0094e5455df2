"""Meta-training (Algorithm 1): theta and alpha learn jointly, from the loss after the inner step.

    outcome = meta_train(learner, distribution, validate, settings, seed=1)
    outcome.meta         # the chosen (theta, alpha)

All tasks of a meta-batch run at once under `torch.func.vmap`. Two runs with one seed give the same
bits: every source of randomness is a seeded generator, and nothing is decided by timing.
"""

import os
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from metasgd.adaptation import Learner, Meta
from metasgd.configuration import TrainingSettings
from metasgd.loop import (
    NotFiniteError,
    Outcome,
    Resume,
    TrainingState,
    Validate,
    Watch,
    pick_device,
    run,
    scheduled,
)
from metasgd.meta_gradient import MetaGradient, adjoint, in_pieces, meta_gradient
from metasgd.parallel import ALONE, Workers
from metasgd.tasks import TaskDistribution


def compiles(settings: TrainingSettings) -> bool:
    """Whether this run compiles: it is long enough by its declared iterations, and a compiler is there."""
    return settings.iterations >= settings.compile_from and has_compiler()


def has_compiler() -> bool:
    """torch.compile needs a C++ compiler and Python's headers."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which(os.environ.get("CXX", "g++")) is not None and header.exists()


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
    torch.set_num_threads(settings.threads)
    state = TrainingState.start(learner, seed, pick_device(settings.device))
    adam = _adam(learner, state.meta, settings)
    state.optimiser = adam
    compiled = compiles(settings)
    strategy = compiled_gradient if compiled else eager_gradient
    gradient = workers.share(learner, strategy(learner, settings.chunk))

    def advance(state: TrainingState, iterations: int) -> Mapping[str, float]:
        losses = _descend(learner, distribution, gradient, settings, state, adam, iterations)
        if not losses.isfinite().all():
            first = int(losses.isfinite().int().argmin())
            raise NotFiniteError("meta-loss", state.iteration - len(losses) + first + 1, float(losses[first]))
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


def compiled_gradient(learner: Learner, chunk: int) -> MetaGradient:
    """chunk: tasks at once, or 0 for what is fastest."""
    whole = torch.compile(adjoint(learner), fullgraph=True, dynamic=False)
    return in_pieces(whole, chunk or (0 if learner.network.vectorises else 1))


def eager_gradient(learner: Learner, chunk: int) -> MetaGradient:
    """chunk: tasks at once, or 0 for what is fastest."""
    whole = meta_gradient(learner)
    at_once = chunk == 0 and learner.network.vectorises
    return whole if at_once else in_pieces(whole, chunk or 1)


def _adam(learner: Learner, meta: Meta, settings: TrainingSettings) -> torch.optim.Adam:
    """Over theta and alpha, with a group for each; one fused kernel, which CPU and CUDA have."""
    theta, alpha = learner.learned(Meta(meta.theta, {})), learner.learned(Meta({}, meta.alpha))
    groups = [{"params": theta, "share": 1.0}, {"params": alpha, "share": settings.alpha_rate}]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=settings.rate, fused=True)


def _descend(
    learner: Learner,
    distribution: TaskDistribution,
    gradient: MetaGradient,
    settings: TrainingSettings,
    state: TrainingState,
    adam: torch.optim.Adam,
    iterations: int,
) -> Tensor:
    """Some iterations; returns their losses [iterations], read from the device only at the end."""
    learned = learner.learned(state.meta)
    losses = []
    for iteration in range(state.iteration, state.iteration + iterations):
        for group in adam.param_groups:
            group["lr"] = settings.rate * group["share"] * scheduled(settings, iteration)
        batch = distribution.sample(settings.meta_batch, state.tasks).to(learned[0].device)
        with torch.no_grad():
            gradients, loss = gradient(state.meta, batch)
        for tensor, tensor_gradient in zip(learned, learner.learned(gradients), strict=True):
            tensor.grad = tensor_gradient
        if settings.clip:
            torch.nn.utils.clip_grad_norm_(learned, settings.clip)
        adam.step()
        losses.append(loss)
    state.iteration += iterations
    return torch.stack(losses).cpu()
