"""Vanilla policy gradient: advantages over a baseline that is linear in features, and the inner loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from metasgd import gaussian
from metasgd.configuration import Estimator
from metasgd.rollouts import Trajectories

RIDGE = 1e-5


class Experience(NamedTuple):
    """Trajectories as the inner step takes them, stacked over tasks; inside `vmap`, of one task.

    actions: [tasks, trajectories, time, actions].
    advantages: [tasks, trajectories, time].
    weights: [tasks, trajectories, time]; 1 / (number of steps that were taken), 0 after the end.
    returns: undiscounted, [tasks, trajectories].
    """

    actions: Tensor
    advantages: Tensor
    weights: Tensor
    returns: Tensor

    def first(self, trajectories: int) -> "Experience":
        """The first trajectories of every task alone."""
        actions, advantages, weights, returns = (part[:, :trajectories] for part in self)
        return Experience(actions, advantages, weights / weights.sum(dim=(-2, -1), keepdim=True), returns)


def experience(trajectories: Trajectories, discount: float, normalise: bool = True) -> Experience:
    """Advantages by each task's own baseline.

    normalise: centre the advantages of a task's steps and scale them to unit standard deviation.
    """
    alive = trajectories.alive.to(trajectories.rewards.dtype)
    weights = alive / alive.sum(dim=(-2, -1), keepdim=True)
    returns = discounted_returns(trajectories.rewards, discount)
    advantages = returns - linear_baseline(trajectories.observations, returns, alive)
    if normalise:
        advantages = _normalised(advantages, weights)
    return Experience(trajectories.actions, advantages * alive, weights, trajectories.returns())


def discounted_returns(rewards: Tensor, discount: float) -> Tensor:
    """Rewards to go, r_t + discount r_{t+1} + discount^2 r_{t+2} + ..., for rewards [..., time]."""
    returns = torch.empty_like(rewards)
    ahead = torch.zeros_like(rewards[..., 0])
    for time in reversed(range(rewards.shape[-1])):
        ahead = rewards[..., time] + discount * ahead
        returns[..., time] = ahead
    return returns


def linear_baseline(observations: Tensor, returns: Tensor, alive: Tensor) -> Tensor:
    """Returns predicted from features of observation and time, by ridge regression per task.

    Features as in Duan et al. 2016: observation, its square, time / 100 to the powers 1, 2 and 3, and 1.
    observations: [tasks, trajectories, time, observations]; the rest [tasks, trajectories, time].
    """
    time = torch.arange(returns.shape[-1], device=returns.device) / 100
    powers = torch.stack([time**0, time, time**2, time**3], dim=-1)
    clipped = observations.clamp(-10, 10)
    shape = (*returns.shape, powers.shape[-1])
    features = torch.cat([clipped, clipped.square(), powers.expand(shape)], dim=-1)
    # Double precision: the powers of time are nearly collinear.
    flat = (features * alive.unsqueeze(-1)).flatten(1, 2).double()
    target = (returns * alive).flatten(1, 2).unsqueeze(-1).double()
    gram = flat.mT @ flat + RIDGE * torch.eye(flat.shape[-1], dtype=torch.float64, device=flat.device)
    solution = torch.linalg.solve(gram, flat.mT @ target)
    baseline: Tensor = flat @ solution
    return baseline.view(returns.shape).to(returns.dtype)


def _normalised(advantages: Tensor, weights: Tensor) -> Tensor:
    mean = (advantages * weights).sum(dim=(-2, -1), keepdim=True)
    centred = advantages - mean
    deviation = (centred.square() * weights).sum(dim=(-2, -1), keepdim=True).sqrt()
    return centred / (deviation + 1e-8)


def policy_gradient_loss(
    parameters: Tensor, experience: Experience, estimator: Estimator = "plain", decay: float = 1.0
) -> Tensor:
    """Minus the expected return, for its derivatives; one task's experience.

    parameters: [trajectories, time, 2 * actions], the policy's at every observation.
    estimator, decay: of the second derivative; see `surrogate_loss`.
    """
    log_densities = gaussian.log_density(parameters, experience.actions)
    return surrogate_loss(log_densities, experience.advantages, experience.weights, estimator, decay)


def surrogate_loss(
    log_densities: Tensor, advantages: Tensor, weights: Tensor, estimator: Estimator, decay: float = 1.0
) -> Tensor:
    """Minus a surrogate whose first derivative is the policy gradient: log density's times advantage.

    The outer gradient differentiates the inner one again, and there the estimators differ. The inner
    gradient is an average over trajectories that theta itself has drawn; how theta moves them is the
    sampling term.

    plain: sum of log density times advantage. Leaves the sampling term out, as MAML's code does.
    dice: Loaded DiCE (Farquhar et al. 2019, after Foerster et al. 2018). With decay 1 its expected second
        derivative is that of the expected return, where the advantages are unbiased. A smaller decay
        discounts, per time step between them, the influence of earlier actions on later samples, for
        less variance; 0 is the likelihood ratio of each step (Rothfuss et al. 2019).

    log_densities, advantages, weights: [trajectories, time].
    """
    if estimator == "plain":
        terms = log_densities
    else:
        taken = torch.where(weights > 0, log_densities, 0.0)
        before = _centred(taken @ _discounts(taken, decay))
        terms = _magic_box(before + taken) - _magic_box(before)
    return -(terms * advantages * weights).sum()


def _discounts(like: Tensor, decay: float) -> Tensor:
    """[time, time]: decay ** (later - earlier), where the row is earlier than the column, else 0."""
    time = torch.arange(like.shape[-1], device=like.device)
    ages = time - time.unsqueeze(1)
    return torch.where(ages > 0, decay ** ages.clamp(min=0), 0.0).to(like.dtype)


def _centred(influences: Tensor) -> Tensor:
    """Less the mean of the other trajectories: a control variate, which a sum of scores may carry.

    It takes away the product of their mean and the gradient, which is all noise: much where actions pay.
    """
    count = len(influences)
    return influences if count == 1 else (influences - influences.mean(dim=0)) * (count / (count - 1))


def _magic_box(x: Tensor) -> Tensor:
    """1, with the derivatives of exp(x - constant)."""
    return (x - x.detach()).exp()
