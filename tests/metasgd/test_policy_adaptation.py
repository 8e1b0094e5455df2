"""Policies that adapt on trajectories: one inner step by hand, many tasks at once, and their returns."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from metasgd import policy_adaptation
from metasgd.learner import Adapted, Learner, Meta
from metasgd.policy_adaptation import (
    Environments,
    Plan,
    adapt,
    collect,
    evidence,
    mean_returns,
    stages,
    unadapted,
)
from metasgd.policy_gradient import Experience
from metasgd.rollouts import Tasks, Trajectories
from metasgd.seeds import generator
from metasgd.tasks import Examples
from tests.metasgd.small import ALPHAS, as_double, navigation, policy_learner, start, trajectories

DYNAMICS = navigation(horizon=6, goal=(-0.3, 0.3), tolerance=0.15)


def some_tasks(count: int) -> Tasks:
    return {name: value.double() for name, value in DYNAMICS.sample(count, generator(1, "tasks")).items()}


def noise(chunk: int) -> torch.Generator:
    return generator(1, f"test noise {chunk}")


def matrix(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_one_step_by_hand() -> None:
    """A linear policy that stands at its mean of zero with deviation 1, and two steps of one trajectory.

    Seen (1, 0), done (2, 0), advantage 1: d log p / d mean = (2, 0), d log p / d log std = (3, -1).
    Seen (0, 2), done (0, -1), advantage -3: (0, -1) and (-1, 0). Each step weighs a half, so that the
    ascent is: weights, seen times done, [[1, 0], [0, 3]]; biases (1, 1.5); log std (3, -1) / 2 + (3, 0) / 2.
    """
    learner = policy_learner(hidden=())
    theta = {
        "linear0.weight": torch.zeros(2, 2, dtype=torch.float64),
        "linear0.bias": torch.zeros(2, dtype=torch.float64),
        "log_std": torch.zeros(2, dtype=torch.float64),
    }
    alpha = {
        "linear0.weight": matrix((0.1, 0.1), (0.1, -0.2)),  # a negative rate goes down
        "linear0.bias": torch.tensor([0.1, 0.0], dtype=torch.float64),
        "log_std": torch.tensor([0.1, 1.0], dtype=torch.float64),
    }
    seen = matrix((1, 0), (0, 2)).unsqueeze(0)
    done = matrix((2, 0), (0, -1)).unsqueeze(0)
    y = Experience(done, matrix((1, -3)), matrix((0.5, 0.5)), torch.zeros(1))
    adapted = learner.adapt(Meta(theta, alpha), Examples(seen, y)).theta
    torch.testing.assert_close(adapted["linear0.weight"], matrix((0.1, 0), (0, -0.6)))
    assert adapted["linear0.bias"].tolist() == pytest.approx([0.1, 0.0])
    assert adapted["log_std"].tolist() == pytest.approx([0.3, -0.5])


def test_a_step_earns_more_where_actions_pay() -> None:
    """Bandits of one step: the mean moves to the goal, and mean returns rise in every task."""
    dynamics = navigation(horizon=1, goal=(-3.0, 3.0))
    learner = policy_learner(hidden=(), start=(0.3, 0.3))
    tasks = dynamics.sample(20, generator(1, "tasks"))
    returns = mean_returns(learner, start(learner), Environments(dynamics, tasks), Plan(100, 200, 1), noise)
    assert float((returns[:, 1] > returns[:, 0]).float().mean()) > 0.9


@pytest.mark.parametrize("alpha", ALPHAS)
def test_many_tasks_adapt_as_each_alone(alpha: str) -> None:
    """Each by its own baseline and normalisation, from policies that differ already."""
    learner, tasks = policy_learner(alpha), some_tasks(4)
    meta = as_double(start(learner))
    own = {name: torch.stack([value + 0.1 * task for task in range(4)]) for name, value in meta.theta.items()}
    policies = Adapted(own, {})
    support = collect(learner, policies, Environments(DYNAMICS, tasks), 5, generator(1, "noise"))
    assert not support.alive.all()
    together = adapt(learner, policies, meta.alpha, support).theta
    for task in range(4):
        one = Trajectories(*(part[task : task + 1] for part in support))
        x, (actions, advantages, weights, returns) = evidence(learner, one)
        y = Experience(actions[0], advantages[0], weights[0], returns[0])
        theta = {name: value[task] for name, value in policies.theta.items()}
        alone = learner.adapt(Meta(theta, meta.alpha), Examples(x[0], y)).theta
        for name, value in alone.items():
            torch.testing.assert_close(together[name][task], value)
        moved = not torch.equal(alone["log_std"], theta["log_std"])
        assert moved is (alpha != "none"), "the deviation adapts with the rest"


def test_orders_differ_in_derivatives_alone() -> None:
    """A step of first order ends where one of second order does, bit for bit."""
    meta, tasks = as_double(start(policy_learner())), some_tasks(3)
    found = []
    for order in ("second", "first"):
        learner = policy_learner(order=order)
        support = trajectories(learner, meta, DYNAMICS, tasks, 5)
        found.append(adapt(learner, unadapted(meta, 3), meta.alpha, support).theta)
    assert all(torch.equal(found[0][name], found[1][name]) for name in meta.theta)


def test_stages_adapt_on_trajectories_of_the_policy_before() -> None:
    """Queries, then per step new support of the theta that is there, a step, and queries of what came out."""
    learner, tasks = policy_learner(start=(0.5, 0.5)), some_tasks(3)
    meta = as_double(start(learner))
    environments = Environments(DYNAMICS, tasks)
    found = list(stages(learner, meta, environments, Plan(shots=4, queries=2, steps=2), noise(0)))
    stream, policies, expected = noise(0), unadapted(meta, 3), []
    expected.append(collect(learner, policies, environments, 2, stream))
    for _ in range(2):
        policies = adapt(learner, policies, meta.alpha, collect(learner, policies, environments, 4, stream))
        expected.append(collect(learner, policies, environments, 2, stream))
    assert len(found) == 3
    for mine, theirs in zip(found, expected, strict=True):
        assert all(map(torch.equal, mine, theirs))


Scored = Callable[..., Tensor]


@pytest.fixture
def scored() -> Scored:
    """Mean returns of a learner on some tasks."""
    learner = policy_learner()

    def returns(
        tasks: Tasks, steps: int = 1, shots: int = 4, noise: Callable[[int], torch.Generator] = noise
    ) -> Tensor:
        meta = as_double(start(learner))
        return mean_returns(learner, meta, Environments(DYNAMICS, tasks), Plan(shots, 3, steps), noise)

    return returns


def test_mean_returns_are_those_of_the_stages(scored: Scored) -> None:
    """[tasks, steps + 1], undiscounted, means over the queries."""
    learner, tasks = policy_learner(), some_tasks(5)
    found = scored(tasks, steps=2)
    assert found.shape == (5, 3)
    environments = Environments(DYNAMICS, tasks)
    expected = stages(learner, as_double(start(learner)), environments, Plan(4, 3, 2), noise(0))
    for stage, query in enumerate(expected):
        torch.testing.assert_close(found[:, stage], query.rewards.sum(dim=-1).mean(dim=1))


def test_chunks_are_scored_as_tasks_of_their_own(scored: Scored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five tasks in chunks of two: each chunk alone, under the noise of its number."""
    tasks = some_tasks(5)
    apart = []
    for number in range(3):
        chunk = {name: value[2 * number : 2 * number + 2] for name, value in tasks.items()}
        apart.append(scored(chunk, noise=lambda _, number=number: noise(number)))
    monkeypatch.setattr(policy_adaptation, "CHUNK", 2)
    assert torch.equal(scored(tasks), torch.cat(apart))


def test_more_steps_leave_the_first_ones_as_they_were(scored: Scored) -> None:
    """Bit for bit: whoever looks further ahead meets the same noise up to there."""
    tasks = some_tasks(4)
    assert torch.equal(scored(tasks, steps=3)[:, :2], scored(tasks, steps=1))


def test_before_adaptation_shots_make_no_difference(scored: Scored) -> None:
    """The first column; the second one is another estimate."""
    tasks = some_tasks(4)
    few, many = scored(tasks, shots=2), scored(tasks, shots=9)
    assert torch.equal(few[:, 0], many[:, 0])
    assert not torch.equal(few[:, 1], many[:, 1])


def test_the_objective_is_the_mean_return() -> None:
    """Higher is better; the loss of a policy says nothing about what it earns."""
    objective = policy_learner().objective
    y = Experience(*torch.zeros(3, 1, 1, 1), returns=torch.tensor([-3.0, -1.0]))
    assert float(objective.score(torch.zeros(1, 1, 2), y)) == -2
    assert (objective.metric, objective.better(-1.0, -2.0), objective.better(-2.0, -1.0)) == (
        "return", True, False,
    )  # fmt: skip


def test_scoring_leaves_no_graph_and_changes_nothing() -> None:
    """Returns are plain numbers, and the learned tensors stay as they are."""
    learner: Learner = policy_learner()
    meta = start(learner)
    before = {name: value.clone() for name, value in meta.theta.items()}
    for value in meta.theta.values():
        value.requires_grad_()
    tasks = DYNAMICS.sample(2, generator(1, "tasks"))
    found = mean_returns(learner, meta, Environments(DYNAMICS, tasks), Plan(3, 3, 2), noise)
    assert not found.requires_grad
    assert all(torch.equal(meta.theta[name], value) for name, value in before.items())
