"""Meta-training by reinforcement (Algorithm 2): trajectories take the place of examples.

    outcome = meta_train_policy(learner, dynamics, validate, settings, seed=1, shots=20, queries=20)

The inner step is a vanilla policy gradient through `Learner.adapt`, with an alpha for the log standard
deviations too. The outer step moves (theta, alpha) by TRPO: down the loss of the adapted policies,
within a mean KL divergence from what they were.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from metasgd import gaussian
from metasgd.configuration import TrpoSettings
from metasgd.learner import Adapted, Learner, Meta
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
from metasgd.policy_adaptation import Environments, adapt, collect, evidence, unadapted
from metasgd.policy_gradient import Experience, experience, policy_gradient_loss
from metasgd.rollouts import Dynamics, Trajectories
from metasgd.tasks import Examples
from metasgd.trees import flatten, unflatten
from metasgd.trpo import LineSearch, Product, jacobian, line_search, natural_step


def meta_train_policy(
    learner: Learner,
    dynamics: Dynamics,
    validate: Validate,
    settings: TrpoSettings,
    seed: int,
    *,
    shots: int,
    queries: int,
    watch: Watch = lambda point: None,
    resume: Resume | None = None,
) -> Outcome:
    """Run Algorithm 2.

    shots, queries: trajectories of a task to adapt on, and to score the adapted policy.
    validate, watch, resume: as in `metasgd.training.meta_train`; a point's values are those of
        `_iterate`, as means over the iterations since the last point.
    Raises TrainingDivergedError (an InputError) when the natural gradient stops being finite.
    """
    torch.set_num_threads(settings.threads)
    state = TrainingState.start(learner, seed, pick_device(settings.device))

    def advance(state: TrainingState, iterations: int) -> Mapping[str, float]:
        measured = [_iterate(learner, dynamics, settings, state, shots, queries) for _ in range(iterations)]
        return {name: sum(values[name] for values in measured) / iterations for name in measured[0]}

    advice = "train.max_kl or start of alpha"
    return run(
        learner, settings, state, advance, validate, watch=watch, resume=resume, compiled=False, advice=advice
    )


@torch.no_grad()
def _iterate(
    learner: Learner,
    dynamics: Dynamics,
    settings: TrpoSettings,
    state: TrainingState,
    shots: int,
    queries: int,
) -> dict[str, float]:
    """One iteration of Algorithm 2, and what it measured."""
    device = next(iter(state.meta.theta.values())).device
    environments = Environments(dynamics, dynamics.sample(settings.meta_batch, state.tasks)).to(device)
    policies = unadapted(state.meta, settings.meta_batch)
    supports = []
    for _ in range(learner.settings.steps):
        supports.append(collect(learner, policies, environments, shots, state.tasks))
        policies = adapt(learner, policies, state.meta.alpha, supports[-1])
    query = collect(learner, policies, environments, queries, state.tasks)
    bound = settings.max_kl * scheduled(settings, state.iteration)
    state.iteration += 1
    found = outer_step(learner, state.meta, supports, query, replace(settings, max_kl=bound))
    if not found.step.isfinite().all():
        raise NotFiniteError("natural gradient", state.iteration, float("nan"))
    learned = learner.learned(state.meta)
    for tensor, change in zip(learned, unflatten(found.step, _shapes(learned)), strict=True):
        tensor.add_(change)
    return {
        **_summary("return_before", supports[0]),
        **_summary("return_after", query),
        "kl": found.kl,
        "line_search_trials": float(found.trials),
        "accepted": float(found.accepted),
        "log_std": float(state.meta.theta["log_std"].mean()),
        "log_std_after": float(policies.theta["log_std"].mean()),
    }


def _summary(name: str, trajectories: Trajectories) -> dict[str, float]:
    """Mean return over tasks, and its standard error."""
    returns = trajectories.returns().mean(dim=1)
    deviation = returns.std(correction=min(1, len(returns) - 1))
    return {name: float(returns.mean()), f"{name}_sem": float(deviation / len(returns) ** 0.5)}


def outer_step(
    learner: Learner,
    meta: Meta,
    supports: Sequence[Trajectories],
    query: Trajectories,
    settings: TrpoSettings,
) -> LineSearch:
    """TRPO's change of the learned tensors, as one vector.

    supports: what each inner step adapts on, in turn; query: trajectories of the adapted policies.
    """
    inner = [evidence(learner, support) for support in supports]
    seen, taken = query.observations, experience(query, settings.discount)
    policies = AdaptedPolicies(_outer(learner, settings), meta, inner, seen)
    weights = taken.weights / len(taken.weights)
    here = flatten(learner.learned(meta)).requires_grad_()

    def loss(parameters: Tensor, old: Tensor) -> Tensor:
        densities, old_densities = (gaussian.log_density(p, taken.actions) for p in (parameters, old))
        return -((densities - old_densities).exp() * taken.advantages * weights).sum()

    with torch.enable_grad():
        parameters = policies(here)
        old = parameters.detach()
        first = loss(parameters, old)
        (gradient,) = torch.autograd.grad(first, here)

    def evaluate(step: Tensor) -> tuple[Tensor, Tensor]:
        parameters = policies(here + step)
        return loss(parameters, old), (gaussian.kl_divergence(old, parameters) * weights).sum()

    metric = _fisher(policies, taken, here, settings)
    with torch.no_grad():
        step = natural_step(metric, gradient, settings.max_kl, settings.conjugate_gradients)
        if not step.isfinite().all():
            # The line search would refuse it, and go on from where it stands.
            return LineSearch(step, False, 0, float(first), math.nan)
        return line_search(
            evaluate, step, float(first), settings.max_kl, settings.backtracks, settings.backtrack_ratio
        )


@dataclass(frozen=True)
class AdaptedPolicies:
    """From the learned tensors, as one vector, to the adapted policies at the query's observations.

    inner: the evidence of each inner step; observations: [tasks, trajectories, time, observations].
    """

    learner: Learner
    meta: Meta
    inner: Sequence[Examples]
    observations: Tensor

    def __call__(self, vector: Tensor) -> Tensor:
        """`metasgd.gaussian` parameters [tasks, trajectories, time, 2 * actions]."""
        like = self.learner.learned(self.meta)
        theta, alpha = self.learner.with_learned(self.meta, unflatten(vector, _shapes(like)))

        def one(inner: Sequence[Examples], observations: Tensor) -> Tensor:
            adapted = Adapted(theta, {})
            for support in inner:
                adapted = self.learner.adapt(Meta(adapted.theta, alpha), support)
            return self.learner.predict(adapted, observations)

        parameters: Tensor = vmap(one)(self.inner, self.observations)
        return parameters

    def first(self, trajectories: int) -> "AdaptedPolicies":
        """Those that adapt on the first trajectories of every task, where the first trajectories went."""
        inner = [Examples(x[:, :trajectories], y.first(trajectories)) for x, y in self.inner]
        return AdaptedPolicies(self.learner, self.meta, inner, self.observations[:, :trajectories])


def _outer(learner: Learner, settings: TrpoSettings) -> Learner:
    """The learner as the outer gradient sees it: its inner loss may carry the sampling term."""
    loss = partial(policy_gradient_loss, estimator=settings.estimator, decay=settings.decay)
    return replace(learner, objective=replace(learner.objective, loss=loss))


def _fisher(policies: AdaptedPolicies, taken: Experience, here: Tensor, settings: TrpoSettings) -> Product:
    """Products with the Fisher information of the adapted policies, in the learned tensors.

    The policies of the metric adapt on few trajectories, so they are not quite those that the gradient is of.
    With those, an iteration takes twice as long, and learns much less (docs/navigation.md).
    """
    count = settings.fisher_trajectories
    weights = taken.first(count).weights / len(taken.weights)
    parameters, jvp, vjp = jacobian(policies.first(count), here)

    def product(vector: Tensor) -> Tensor:
        image = gaussian.fisher_product(parameters, jvp(vector)) * weights.unsqueeze(-1)
        return vjp(image) + settings.damping * vector

    return product


def _shapes(tensors: Sequence[Tensor]) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors]
