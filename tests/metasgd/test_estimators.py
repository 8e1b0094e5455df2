"""Which estimator of the inner loss carries what in its second derivative.

They are judged on a decision process that is small enough to be enumerated. There are two
actions and three times, and what is earned depends on all that was done before. The policy has a
logit for every time and action before. So the expectation over trajectories, and over samples of some
of them, is a sum whose derivatives are exact.
"""

from itertools import product
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from metasgd.adaptation import inner_step
from metasgd.configuration import Estimator
from metasgd.policy_gradient import (
    discounted_returns,
    surrogate_loss,
)
from metasgd.trees import Parameters
from tests.metasgd.small import hessian, numbers

ESTIMATORS = get_args(Estimator)
CARRIED = [("plain", 1.0), ("dice", 1.0), ("dice", 0.6), ("dice", 0.0)]


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
