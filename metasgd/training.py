"""Meta-training (Algorithm 1): theta and alpha learn jointly, from the loss after the inner step.

    outcome = meta_train(learner, distribution, validate, settings, seed=1)
    outcome.meta         # the chosen (theta, alpha)

All tasks of a meta-batch run at once under `torch.func.vmap`. Two runs with one seed give the same
bits: every source of randomness is a seeded generator, and nothing is decided by timing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from metasgd.adaptation import Learner, Meta
from metasgd.configuration import TrainingSettings
from metasgd.engine import compiled_gradient, compiles, eager_gradient
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
from metasgd.meta_gradient import MetaGradient
from metasgd.parallel import ALONE, Workers
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
    # The threads of a compiled gradient take a piece each, not each a share of every operation.
    torch.set_num_threads(1 if compiled else settings.threads)
    state = TrainingState.start(learner, seed, pick_device(settings.device))
    adam = _adam(learner, state.meta, settings)
    state.optimiser = adam
    gradient = workers.share(
        learner,
        compiled_gradient(learner, settings.chunk, settings.threads)
        if compiled
        else eager_gradient(learner, settings.chunk),
    )

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
