"""Advantages and the inner loss; and which of its estimators carries what in its second derivative.

The estimators are judged on a decision process that is small enough to be enumerated. There are two
actions and three times, and what is earned depends on all that was done before. The policy has a
logit for every time and action before. So the expectation over trajectories, and over samples of some
of them, is a sum whose derivatives are exact.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from metasgd import gaussian
from metasgd.adaptation import inner_step
from metasgd.configuration import Estimator
from metasgd.policy_gradient import (
    RIDGE,
    Experience,
    _centred,
    discounted_returns,
    experience,
    linear_baseline,
    policy_gradient_loss,
    surrogate_loss,
)
from metasgd.rollouts import Trajectories
from metasgd.seeds import generator
from metasgd.trees import Parameters

ESTIMATORS = get_args(Estimator)
CARRIED = [("plain", 1.0), ("dice", 1.0), ("dice", 0.6), ("dice", 0.0)]


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "numbers"), dtype=torch.float64)


def some_trajectories() -> Trajectories:
    """Two tasks, three trajectories of five steps, two of which end early."""
    alive = torch.ones(2, 3, 5, dtype=torch.bool)
    alive[0, 1, 2:] = False
    alive[1, 2, 1:] = False
    rewards = numbers(2, 3, 5, seed=3) * alive
    return Trajectories(numbers(2, 3, 5, 2), numbers(2, 3, 5, 2, seed=2), rewards, alive)


def test_discounted_returns_by_hand() -> None:
    """Rewards 1, 2, 4 at a discount of a half: 1 + 1 + 1, 2 + 2, 4; at 0 the rewards, at 1 their sums."""
    rewards = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 8.0]])
    assert discounted_returns(rewards, 0.5).tolist() == [[3, 4, 4], [2, 4, 8]]
    assert discounted_returns(rewards, 0.0).tolist() == rewards.tolist()
    assert discounted_returns(rewards, 1.0).tolist() == [[7, 6, 4], [8, 8, 8]]


def ridge(observations: np.ndarray, time: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """The baseline at the steps of one task, by NumPy: least squares with a row per feature for the ridge."""
    clipped, time = observations.clip(-10, 10), time[:, None] / 100
    features = np.hstack([clipped, clipped**2, time**0, time, time**2, time**3])
    count = features.shape[1]
    rows = np.vstack([features, np.sqrt(RIDGE) * np.eye(count)])
    solution, *_ = np.linalg.lstsq(rows, np.append(returns, np.zeros(count)), rcond=None)
    return features @ solution


def test_baseline_is_a_ridge_regression_over_the_steps_that_were_taken() -> None:
    """Of each task on its own; an observation beyond 10 counts as 10."""
    trajectories = some_trajectories()
    observations, alive = trajectories.observations * 8, trajectories.alive
    returns = discounted_returns(trajectories.rewards, 0.9)
    found = linear_baseline(observations, returns, alive.double())
    assert float(observations.abs().max()) > 10
    times = torch.arange(5.0, dtype=torch.float64).expand(3, 5)
    for task in range(2):
        taken = alive[task]
        expected = ridge(*(v[taken].numpy() for v in (observations[task], times, returns[task])))
        assert found[task][taken].numpy() == pytest.approx(expected, abs=1e-6)


def test_baseline_of_a_line_is_exact() -> None:
    """Returns that are linear in the features leave no advantage, but for the ridge's little."""
    observations = numbers(1, 50, 4, 2)
    returns = 3 - 2 * observations[..., 0] + observations[..., 1].square()
    found = linear_baseline(observations, returns, torch.ones(1, 50, 4, dtype=torch.float64))
    torch.testing.assert_close(found, returns, rtol=0, atol=1e-4)


def test_what_comes_after_the_end_counts_for_nothing() -> None:
    """Other observations, actions and alive's own zeros: the experience of the steps taken stays."""
    trajectories = some_trajectories()
    over = ~trajectories.alive.unsqueeze(-1)
    changed = trajectories._replace(observations=torch.where(over, 7.0, trajectories.observations))
    one, other = experience(trajectories, 0.9), experience(changed, 0.9)
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine, theirs)


def test_advantages_are_normalised_over_the_steps_that_were_taken() -> None:
    """Mean 0 and deviation 1 within each task; 0 after the end; weights are one over the steps."""
    trajectories = some_trajectories()
    found = experience(trajectories, 0.9)
    for task, steps in enumerate((12, 11)):
        taken = trajectories.alive[task]
        advantages = found.advantages[task]
        assert float(advantages[taken].mean()) == pytest.approx(0, abs=1e-9)
        assert float(advantages[taken].std(unbiased=False)) == pytest.approx(1, abs=1e-6)
        assert not advantages[~taken].any()
        assert found.weights[task][taken].tolist() == pytest.approx([1 / steps] * steps)
        assert not found.weights[task][~taken].any()


def test_advantages_are_returns_above_the_baseline() -> None:
    """Where they are not normalised; and normalising neither turns them around nor reorders them."""
    trajectories = some_trajectories()
    alive = trajectories.alive.double()
    rewards_to_go = discounted_returns(trajectories.rewards, 0.9)
    expected = (rewards_to_go - linear_baseline(trajectories.observations, rewards_to_go, alive)) * alive
    plain = experience(trajectories, 0.9, normalise=False)
    torch.testing.assert_close(plain.advantages, expected)
    normalised = experience(trajectories, 0.9)
    for task in range(2):
        taken = trajectories.alive[task]
        pair = torch.stack([part.advantages[task][taken] for part in (plain, normalised)])
        assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(1)


def test_the_score_is_undiscounted() -> None:
    """returns are the plain sums of rewards, whatever the discount."""
    trajectories = some_trajectories()
    torch.testing.assert_close(experience(trajectories, 0.1).returns, trajectories.rewards.sum(dim=-1))


def test_the_first_trajectories_are_weighed_anew() -> None:
    """Of task 0, whose second trajectory took two steps: 7 steps in the first two."""
    found = experience(some_trajectories(), 0.9)
    first = found.first(2)
    assert [part.shape[1] for part in first] == [2] * 4
    assert first.weights[0, 0].tolist() == pytest.approx([1 / 7] * 5)
    assert first.weights.sum(dim=(1, 2)).tolist() == pytest.approx([1, 1])
    assert torch.equal(first.advantages, found.advantages[:, :2])


def test_equal_rewards_give_no_gradient_that_is_no_number() -> None:
    """Advantages without a spread are zeros, not 0 / 0."""
    trajectories = some_trajectories()
    still = trajectories._replace(rewards=torch.zeros_like(trajectories.rewards))
    assert not experience(still, 0.9).advantages.any()


def test_the_loss_by_hand() -> None:
    """One step of weight 1 and advantage 2, action 3 of a Gaussian at 1 with deviation 1.

    d log p / d mean is 2, d log p / d log std is 4 - 1; the loss is minus twice of that.
    """
    one = torch.ones(1, 1)
    seen = Experience(torch.full((1, 1, 1), 3.0), 2 * one, one, torch.zeros(1))
    for estimator in ESTIMATORS:
        parameters = torch.tensor([1.0, 0.0])
        found = grad(lambda at, by=estimator: policy_gradient_loss(at.view(1, 1, 2), seen, by))(parameters)
        assert found.tolist() == pytest.approx([-4, -6])


@pytest.mark.parametrize(("estimator", "decay"), CARRIED)
def test_all_estimators_have_the_same_gradient(estimator: Any, decay: float) -> None:
    """That of log density times advantage; they differ in the derivatives of it."""
    trajectories = some_trajectories()
    taken = Experience(*(part[0] for part in experience(trajectories, 0.9)))
    parameters = numbers(3, 5, 4, seed=5)
    expected = grad(
        lambda at: -(gaussian.log_density(at, taken.actions) * taken.advantages * taken.weights).sum()
    )(parameters)
    assert float(expected.abs().max()) > 0.01
    found = grad(policy_gradient_loss)(parameters, taken, estimator, decay)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("estimator", "decay"), CARRIED)
def test_densities_after_the_end_enter_no_derivative(estimator: Any, decay: float) -> None:
    """Not even those of dice, which gathers the densities of the steps before."""
    advantages, weights = numbers(2, 3), torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])

    def curvature(scale: float) -> Tensor:
        def loss(at: Tensor) -> Tensor:
            over = scale * at[1:] * at[0]
            densities = torch.stack([torch.cat([at[:1].sin(), over]), at * at[0]])
            return surrogate_loss(densities, advantages, weights, estimator, decay)

        return hessian(loss, numbers(3, seed=2))

    assert torch.equal(curvature(1.0), curvature(50.0))


def test_influences_are_centred_by_the_other_trajectories() -> None:
    """1, 2 and 6 less the means of the others, 4, 3.5 and 1.5; one alone stays as it is."""
    assert _centred(torch.tensor([[1.0], [2.0], [6.0]])).tolist() == [[-3.0], [-1.5], [4.5]]
    assert _centred(torch.tensor([[7.0, 8.0]])).tolist() == [[7.0, 8.0]]


# ---- The decision process that can be enumerated. ----


class Enumerated:
    """Every trajectory of two actions at `horizon` times, or fewer where a second action of 1 ends it.

    rewards: [trajectories, time], each a number of its own for everything that was done until then.
    alive: [trajectories, time], whether the step was taken.
    """

    def __init__(self, horizon: int, ends: bool = False) -> None:
        self.actions = torch.tensor(list(product((0, 1), repeat=horizon)))
        self.before = F.pad(self.actions[:, :-1], (1, 0))
        self.alive = torch.ones_like(self.actions, dtype=torch.bool)
        if ends:
            self.alive[:, 2:] = self.actions[:, 1:2] == 0
        tables = [2 * numbers(*(2,) * (time + 1), seed=time) for time in range(horizon)]
        rewards = [table[tuple(self.actions[:, : time + 1].T)] for time, table in enumerate(tables)]
        self.rewards = torch.stack(rewards, dim=1) * self.alive

    def log_densities(self, logits: Tensor) -> Tensor:
        """[trajectories, time]. logits: of action 1, [time, action before]."""
        own = logits[torch.arange(len(logits)), self.before]
        return F.logsigmoid(torch.where(self.actions == 1, own, -own))

    def probabilities(self, logits: Tensor) -> Tensor:
        return self.log_densities(logits).sum(dim=1).exp()

    def expected_return(self, logits: Tensor, discount: float = 1.0) -> Tensor:
        faded = self.rewards * discount ** torch.arange(self.rewards.shape[1])
        return (self.probabilities(logits) * faded.sum(dim=1)).sum()

    def advantages(self, discount: float) -> Tensor:
        """Rewards to go above a baseline that knows what was done before, and not what is done now."""
        return discounted_returns(self.rewards, discount) - 0.3 * self.before.cumsum(dim=1) - 0.7

    def losses(
        self, at: Tensor, estimator: Estimator, decay: float, count: int = 1, discount: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Inner losses of all samples of `count` trajectories, and which ones these are [samples, count]."""
        drawn = torch.tensor(list(product(range(len(self.actions)), repeat=count)))
        weights = self.alive * discount ** torch.arange(self.alive.shape[1]) / count
        parts = (self.log_densities(at), self.advantages(discount), weights)
        losses = vmap(lambda d, a, w: surrogate_loss(d, a, w, estimator, decay))(
            *(part[drawn] for part in parts)
        )
        return losses, drawn

    def expected_loss(self, at: Tensor, logits: Tensor, *how: Any, **more: Any) -> Tensor:
        """`at` some logits, over the samples that other ones have drawn."""
        losses, drawn = self.losses(at, *how, **more)
        return (losses * self.probabilities(logits).detach()[drawn].prod(dim=1)).sum()


def some_logits(horizon: int) -> Tensor:
    return 0.5 * numbers(horizon, 2, seed=14)


def hessian(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """[numbers, numbers]"""
    found: Tensor = torch.autograd.functional.hessian(function, at)
    return found.reshape(at.numel(), at.numel())


def hessians(problem: Enumerated, logits: Tensor, *how: Any, **more: Any) -> tuple[Tensor, Tensor]:
    """Of the surrogate, in expectation; and of the expected return."""
    found = hessian(lambda at: -problem.expected_loss(at, logits, *how, **more), logits)
    discount = more.get("discount", 1.0)
    return found, hessian(lambda at: problem.expected_return(at, discount), logits)


@pytest.mark.parametrize(("estimator", "decay"), CARRIED)
@pytest.mark.parametrize("ends", [False, True])
def test_the_gradient_is_that_of_the_expected_return(ends: bool, estimator: Any, decay: float) -> None:
    """In expectation, whatever the baseline: all estimators are unbiased in their first derivative."""
    problem, logits = Enumerated(3, ends), some_logits(3)
    found = -grad(lambda at: problem.expected_loss(at, logits, estimator, decay, count=2))(logits)
    torch.testing.assert_close(found, grad(problem.expected_return)(logits))


@pytest.mark.parametrize("discount", [1.0, 0.8])
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(("horizon", "count"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_dice_has_the_whole_hessian(horizon: int, count: int, ends: bool, discount: float) -> None:
    """In expectation, the second derivative of the expected return: the sampling term is all there.

    For samples of one trajectory and of more, whose influences are centred; also where trajectories
    end early, and discounted, where weights fade with time as rewards do.
    """
    problem, logits = Enumerated(horizon, ends), some_logits(horizon)
    found, exact = hessians(problem, logits, "dice", 1.0, count=count, discount=discount)
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize(("estimator", "decay"), [("plain", 1.0), ("dice", 0.0), ("dice", 0.5)])
def test_less_than_dice_has_not(estimator: Any, decay: float) -> None:
    """Three times, where what is done early changes what is earned late."""
    found, exact = hessians(Enumerated(3), some_logits(3), estimator, decay)
    assert float((found - exact).abs().max()) > 0.2 * float(exact.abs().max())


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_decay_fades_what_lies_between_two_times(decay: float, count: int) -> None:
    """Derivatives by logits of two times are those of the return, times decay for each step between.

    Logits of one time are not touched by it: at 0, what is left is the likelihood ratio's.
    """
    found, exact = hessians(Enumerated(3), some_logits(3), "dice", decay, count=count)
    time = torch.arange(3).repeat_interleave(2)
    steps = (time.unsqueeze(0) - time.unsqueeze(1)).abs()
    assert float(exact[steps == 2].abs().max()) > 0.05
    torch.testing.assert_close(found, exact * decay**steps)


def test_the_sampling_term_counts_even_at_one_time() -> None:
    """A bandit: dice is exact whatever its decay, plain is not."""
    problem, logits = Enumerated(1), some_logits(1)
    for decay in (0.0, 1.0):
        torch.testing.assert_close(*hessians(problem, logits, "dice", decay))
    found, exact = hessians(problem, logits, "plain", 1.0)
    assert float((found - exact).abs().max()) > 0.05


def test_centred_influences_vary_less() -> None:
    """Where actions pay: eight trajectories together beat the mean of eight on their own.

    One parameter, the mean of every action; an action's own size is its advantage.
    """
    actions, weights = numbers(300, 8, 10), torch.full((8, 10), 1 / 8, dtype=torch.float64)

    def loss(mean: Tensor, own: Tensor, weights: Tensor) -> Tensor:
        return surrogate_loss(-0.5 * (own - mean).square(), own, weights, "dice", 1.0)

    def apart(mean: Tensor, own: Tensor) -> Tensor:
        return vmap(lambda one: loss(mean, one.unsqueeze(0), weights[:1]))(own).sum()

    def together(mean: Tensor, own: Tensor) -> Tensor:
        return loss(mean, own, weights)

    zero = torch.zeros((), dtype=torch.float64)
    one, other = (vmap(lambda own, of=of: grad(grad(of))(zero, own))(actions) for of in (together, apart))
    assert float(one.var()) < 0.4 * float(other.var())


def test_dice_has_the_meta_gradient() -> None:
    """Of the return after a step along the exact gradient; without all of the sampling term it is biased."""
    problem, logits, rate = Enumerated(3), some_logits(3), torch.tensor(0.8)

    def exactly(start: Tensor) -> Tensor:
        return problem.expected_return(start + rate * grad(problem.expected_return)(start))

    def adapted(start: Tensor, estimator: Estimator, decay: float) -> Tensor:
        def loss(theta: Parameters) -> Tensor:
            return problem.expected_loss(theta["logits"], logits, estimator, decay, count=2)

        theta = {"logits": start}
        return problem.expected_return(inner_step(theta, {"all": rate}, grad(loss)(theta))["logits"])

    exact = grad(exactly)(logits)
    torch.testing.assert_close(grad(adapted)(logits, "dice", 1.0), exact)
    for estimator, decay in (("plain", 1.0), ("dice", 0.0)):
        error = grad(adapted)(logits, estimator, decay) - exact
        assert float(error.abs().max()) > 0.1 * float(exact.abs().max()), estimator
