"""The outer step of policies: its gradient and Fisher products against autograd, and its bound on the KL."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metasgd import gaussian
from metasgd.learner import Learner
from metasgd.policy_adaptation import Environments, adapt, collect, evidence, unadapted
from metasgd.policy_gradient import experience, policy_gradient_loss
from metasgd.reinforcement import AdaptedPolicies, _fisher, outer_step
from metasgd.rollouts import Trajectories
from metasgd.seeds import generator
from metasgd.trees import Parameters
from tests.metasgd.small import ALPHAS, as_double, navigation, policy_learner, start, trpo_settings

DYNAMICS = navigation(horizon=5, goal=(-0.3, 0.3), tolerance=0.1)
SETTINGS = trpo_settings()


class Situation:
    """What the outer step is given, in float64: three tasks, four trajectories to adapt on and four after."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.meta = learner, as_double(start(learner))
        tasks = {name: value.double() for name, value in DYNAMICS.sample(3, generator(1, "tasks")).items()}
        stream = generator(1, "noise")
        environments, policies = Environments(DYNAMICS, tasks), unadapted(self.meta, 3)
        self.supports = []
        for _ in range(learner.settings.steps):
            self.supports.append(collect(learner, policies, environments, 4, stream))
            policies = adapt(learner, policies, self.meta.alpha, self.supports[-1])
        self.query = collect(learner, policies, environments, 4, stream)
        self.taken = experience(self.query, SETTINGS.discount)
        self.here = torch.cat([tensor.flatten() for tensor in learner.learned(self.meta)])

    def policies(self) -> AdaptedPolicies:
        inner = [evidence(self.learner, support) for support in self.supports]
        return AdaptedPolicies(self.learner, self.meta, inner, self.query.observations)

    def loss(self, vector: Tensor) -> Tensor:
        """Mean over tasks of the surrogate: likelihood ratios times advantages."""
        old, new = (
            gaussian.log_density(self.policies()(at), self.taken.actions) for at in (self.here, vector)
        )
        return -((new - old).exp() * self.taken.advantages * self.taken.weights).sum() / 3

    def step(self, **changes: Any) -> Any:
        return outer_step(self.learner, self.meta, self.supports, self.query, trpo_settings(**changes))

    def downhill(self, **changes: Any) -> Tensor:
        """The direction of the outer step where the metric is next to the identity: minus the gradient."""
        found = self.step(damping=1e6, conjugate_gradients=1, **changes)
        assert found.accepted
        return found.step / found.step.norm()


def slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The gradient by differences."""
    steps = 1e-6 * torch.eye(len(at), dtype=at.dtype)
    return torch.stack([(function(at + step) - function(at - step)) / 2e-6 for step in steps])


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_outer_gradient_is_the_slope_of_the_loss_after_the_step(alpha: str, steps: int) -> None:
    """For theta and what is learned of alpha, through every inner step; the ratio is 1 where it starts."""
    situation = Situation(policy_learner(alpha, hidden=(2,), steps=steps, start=(0.3, 0.3)))
    expected = slope(situation.loss, situation.here)
    assert len(expected) == 14 + {"per-parameter": 14, "scalar": 1}.get(alpha, 0)
    torch.testing.assert_close(
        situation.downhill(estimator="plain"), -expected / expected.norm(), rtol=1e-4, atol=1e-6
    )


def adapted_by_hand(
    situation: Situation,
    vector: Tensor,
    estimator: Any,
    decay: float,
    create_graph: bool,
    trajectories: int | None = None,
) -> list[Parameters]:
    """Every task's theta after the inner steps on its (first) trajectories, by torch.autograd."""
    learner, meta = situation.learner, situation.meta
    vector = vector if vector.requires_grad else vector.clone().requires_grad_()
    like = [*meta.theta.values(), *(meta.alpha.values() if learner.settings.alpha != "fixed" else ())]
    parts = torch.split(vector, [tensor.numel() for tensor in like])
    values = [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]
    theta = dict(zip(meta.theta, values, strict=False))
    alpha = (
        dict(zip(meta.alpha, values[len(theta) :], strict=True)) if len(values) > len(theta) else meta.alpha
    )
    rates = {name: alpha.get(name, alpha.get("all", torch.zeros(()))) for name in theta}
    found = []
    for task in range(3):
        adapted = theta
        for support in situation.supports if learner.takes_steps else []:
            x, y = evidence(learner, Trajectories(*(part[task : task + 1] for part in support)))
            actions, advantages, weights, returns = (part[0, :trajectories] for part in y)
            y = type(y)(actions, advantages, weights / weights.sum(), returns)
            loss = policy_gradient_loss(learner.network(adapted, x[0, :trajectories]), y, estimator, decay)
            gradients = torch.autograd.grad(loss, list(adapted.values()), create_graph=create_graph)
            adapted = {
                name: value - rates[name] * gradient
                for (name, value), gradient in zip(adapted.items(), gradients, strict=True)
            }
        found.append(adapted)
    return found


def by_autograd(situation: Situation, estimator: Any, decay: float, create_graph: bool) -> Tensor:
    """The outer gradient by a plain loop over tasks, with torch.autograd."""
    vector = situation.here.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for task, adapted in enumerate(adapted_by_hand(situation, vector, estimator, decay, create_graph)):
        parameters = situation.learner.network(adapted, situation.query.observations[task])
        densities = gaussian.log_density(parameters, situation.taken.actions[task])
        ratios = (densities - densities.detach()).exp()
        total = total - (ratios * situation.taken.advantages[task] * situation.taken.weights[task]).sum() / 3
    (found,) = torch.autograd.grad(total, vector)
    return found


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize(("estimator", "decay"), [("plain", 1.0), ("dice", 1.0), ("dice", 0.5)])
def test_the_outer_gradient_equals_plain_autograd(estimator: str, decay: float, order: str) -> None:
    """Second order is create_graph=True, of every estimator; in first order they are all the same."""
    situation = Situation(policy_learner(steps=2, order=order, start=(0.3, 0.3)))
    expected = by_autograd(situation, estimator, decay, create_graph=order == "second")
    torch.testing.assert_close(
        situation.downhill(estimator=estimator, decay=decay),
        -expected / expected.norm(),
        rtol=1e-6,
        atol=1e-8,
    )


def test_estimators_take_other_steps() -> None:
    """Of second order; so the choice says something."""
    situation = Situation(policy_learner(start=(0.3, 0.3)))
    plain, dice, faded = (
        situation.downhill(**how)
        for how in ({"estimator": "plain"}, {"decay": 1.0}, {"decay": 0.5})
    )  # fmt: skip
    assert all(
        float((one - other).abs().max()) > 1e-3
        for one, other in ((plain, dice), (dice, faded), (plain, faded))
    )


def test_the_outer_step_has_a_discount_of_its_own() -> None:
    """Advantages of the query are by train.discount, whatever the inner step's."""
    situation = Situation(policy_learner())
    near, far = (situation.downhill(discount=discount) for discount in (0.1, 0.99))
    assert float((near - far).abs().max()) > 1e-3


def mean_kl(situation: Situation, trajectories: int) -> Callable[[Tensor], Tensor]:
    """From the policies here to those elsewhere: the mean over the steps of each task's first trajectories.

    They adapt on as many. KL of two Gaussians: log s' / s + (s² + (m - m')²) / 2 s'² - 1/2, over actions.
    """

    def policies(vector: Tensor) -> list[tuple[Tensor, Tensor]]:
        adapted = adapted_by_hand(situation, vector, "plain", 1.0, True, trajectories)
        seen = [observations[:trajectories] for observations in situation.query.observations]
        outputs = [situation.learner.network(*pair) for pair in zip(adapted, seen, strict=True)]
        return [(output[..., :2], output[..., 2:].exp()) for output in outputs]

    old = [(mean.detach(), std.detach()) for mean, std in policies(situation.here)]

    def kl(vector: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for task, ((m, s), (mean, std)) in enumerate(zip(old, policies(vector), strict=True)):
            each = (std / s).log() + (s**2 + (m - mean) ** 2) / (2 * std**2) - 0.5
            alive = situation.query.alive[task, :trajectories]
            total = total + each.sum(dim=-1)[alive].mean() / 3
        return total

    return kl


@pytest.mark.parametrize("trajectories", [4, 2])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("alpha", ["per-parameter", "scalar", "fixed"])
def test_fisher_products_are_those_of_the_hessian_of_the_mean_kl(
    alpha: str, steps: int, trajectories: int
) -> None:
    """Over all trajectories or the first ones of every task, and a multiple of the identity."""
    situation = Situation(policy_learner(alpha, hidden=(2,), steps=steps, start=(0.3, 0.3)))
    settings = trpo_settings(fisher_trajectories=trajectories, damping=0.5)
    here = situation.here.clone().requires_grad_()
    product = _fisher(situation.policies(), situation.taken, here, settings)
    matrix = torch.autograd.functional.hessian(mean_kl(situation, trajectories), situation.here)
    vector = torch.randn(len(here), generator=generator(2, "vector"), dtype=torch.float64)
    torch.testing.assert_close(product(vector), matrix @ vector + 0.5 * vector)


@pytest.mark.parametrize("max_kl", [0.001, 0.05])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_step_stays_within_the_kl_and_lowers_the_loss(alpha: str, max_kl: float) -> None:
    """By measures of their own, and as it says itself."""
    situation = Situation(policy_learner(alpha, start=(0.3, 0.3)))
    found = situation.step(max_kl=max_kl)
    after = situation.here + found.step
    moved = float(mean_kl(situation, 4)(after).detach())
    assert found.accepted
    assert 0.01 * max_kl < moved <= max_kl
    assert moved == pytest.approx(found.kl)
    assert float(situation.loss(after)) == pytest.approx(found.loss)
    assert found.loss < float(situation.loss(situation.here))
