"""Advantages and the inner loss, by hand and by numpy."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad

from metasgd import gaussian
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
from tests.metasgd.small import hessian, numbers

ESTIMATORS = get_args(Estimator)
CARRIED = [("plain", 1.0), ("dice", 1.0), ("dice", 0.6), ("dice", 0.0)]


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
