"""2-D navigation: steps by hand, tasks that fill their ranges, and what known policies earn."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metasgd.rollouts import Policy, Tasks, Trajectories, draw_noise, rollout
from metasgd.seeds import generator
from metasgd.tasks.navigation import Navigation
from tests.metasgd.small import navigation

CPU = torch.device("cpu")


def points(*values: tuple[float, float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def stepped(
    dynamics: Navigation, goal: tuple[float, float], state: tuple[float, float], action: tuple[float, float]
) -> tuple[list[float], float, bool]:
    """One step of one trajectory of one task."""
    tasks = {"goal": points(goal), "start": points((0, 0))}
    states, rewards, ended = dynamics.step(tasks, points(state).unsqueeze(0), points(action).unsqueeze(0))
    assert (states.shape, rewards.shape, ended.shape) == ((1, 1, 2), (1, 1), (1, 1))
    return states.flatten().tolist(), float(rewards), bool(ended)


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ((1.0, -0.5), [0.2, -0.05]),
        ((2.0, -0.5), [0.2, -0.05]),  # each number is clipped on its own
        ((-7.0, 7.0), [0.0, 0.1]),
        ((0.0, 0.0), [0.1, 0.0]),
    ],
)
def test_actions_move_the_point_by_hand(action: tuple[float, float], place: list[float]) -> None:
    """From (0.1, 0), 0.1 for an action of 1, at most 1 along each axis."""
    assert stepped(navigation(), (0.3, 0.4), (0.1, 0.0), action)[0] == pytest.approx(place)


def test_speed_and_clip_are_settings() -> None:
    """Actions clipped to 3, 0.5 for each: (3, -1) moves by (1.5, -0.5)."""
    dynamics = navigation(speed=0.5, clip=3.0)
    assert stepped(dynamics, (0, 0), (0, 0), (4.0, -1.0))[0] == pytest.approx([1.5, -0.5])


@pytest.mark.parametrize(("reward", "expected"), [("distance", -0.5), ("squared", -0.25)])
def test_reward_is_of_the_place_after_the_move(reward: str, expected: float) -> None:
    """From (-0.1, 0) to (0, 0), 0.5 away from a goal at (0.3, 0.4)."""
    found = stepped(navigation(reward=reward), (0.3, 0.4), (-0.1, 0.0), (1.0, 0.0))[1]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ((0.309, 0.391), True),  # 0.0127 away: the bound is on each coordinate
        ((0.3, 0.4), True),
        ((0.311, 0.4), False),
        ((0.3, 0.389), False),
        ((0.289, 0.411), False),
    ],
)
def test_the_end_is_within_tolerance_along_both_axes(state: tuple[float, float], ended: bool) -> None:
    """0.01 around a goal at (0.3, 0.4)."""
    assert stepped(navigation(), (0.3, 0.4), state, (0, 0))[2] is ended


def test_no_tolerance_is_no_early_end() -> None:
    """At 0, not even the goal itself ends a trajectory."""
    assert not stepped(navigation(tolerance=0.0), (0.3, 0.4), (0.3, 0.4), (0, 0))[2]


def test_a_fixed_start_is_the_origin_and_a_varying_one_is_the_tasks() -> None:
    """Every trajectory of a task starts where the task does; goals are the same for either kind."""
    fixed, varying = navigation(), navigation(start=(-0.5, 0.5))
    tasks, others = (dynamics.sample(50, generator(1, "tasks")) for dynamics in (fixed, varying))
    assert not fixed.start(tasks, 3).any()
    starts = varying.start(others, 3)
    assert starts.shape == (50, 3, 2)
    assert torch.equal(starts, others["start"].unsqueeze(1).expand(50, 3, 2))
    assert len(others["start"].unique()) == 100
    assert torch.equal(tasks["goal"], others["goal"])


def test_goals_and_starts_fill_their_ranges() -> None:
    """Uniform, and one by one: means, ends and correlations of 4,000 tasks."""
    tasks = navigation(goal=(-0.5, 0.5), start=(1.0, 3.0)).sample(4000, generator(1, "tasks"))
    for name, low, high in (("goal", -0.5, 0.5), ("start", 1.0, 3.0)):
        values, width = tasks[name], high - low
        # The mean's deviation is .0046 of the width.
        assert values.mean(dim=0).tolist() == pytest.approx([(low + high) / 2] * 2, abs=0.02 * width)
        assert low <= float(values.min()) < low + 0.01 * width
        assert high - 0.01 * width < float(values.max()) <= high
    together = torch.cat([tasks["goal"], tasks["start"]], dim=1)
    assert float((torch.corrcoef(together.T) - torch.eye(4)).abs().max()) < 0.06


def test_tasks_are_decided_by_the_seed() -> None:
    """The same seed gives the same tasks, the next draw and another seed give others."""
    stream, again, other = (generator(seed, "tasks") for seed in (1, 1, 2))
    first, second = (navigation().sample(5, stream)["goal"] for _ in range(2))
    assert torch.equal(first, navigation().sample(5, again)["goal"])
    assert not torch.equal(first, second)
    assert not torch.equal(first, navigation().sample(5, other)["goal"])


def driven(start: tuple[float, float], policy: Callable[[Tasks], Policy]) -> Trajectories:
    """2,000 tasks of 100 steps, one trajectory each."""
    dynamics = navigation(start=start)
    tasks = dynamics.sample(2000, generator(1, "tasks"))
    noise = draw_noise(dynamics, 2000, 1, generator(1, "noise"), CPU)
    return rollout(dynamics, tasks, policy(tasks), noise)


def mean_return(found: Trajectories) -> tuple[float, float]:
    """Over tasks, and four standard errors."""
    returns = found.returns()
    return float(returns.mean()), 4 * float(returns.std()) / math.sqrt(returns.numel())


def standing_still(tasks: Tasks) -> Policy:
    return lambda seen: torch.cat([torch.zeros_like(seen), torch.full_like(seen, -math.inf)], dim=-1)


def straight_to_the_goal(tasks: Tasks) -> Policy:
    """The mean is the action that would arrive, and is not clipped before noise of deviation 1 is added."""
    goal = tasks["goal"].unsqueeze(1)
    return lambda seen: torch.cat([(goal - seen) / 0.1, torch.zeros_like(seen)], dim=-1)


@pytest.mark.parametrize(
    ("start", "distance"),
    [
        # Mean distance from the middle of a unit square to its points.
        ((0.0, 0.0), (math.sqrt(2) + math.asinh(1)) / 6),
        # Between two of them.
        ((-0.5, 0.5), (2 + math.sqrt(2) + 5 * math.asinh(1)) / 15),
    ],
)
def test_standing_still_earns_the_mean_distance(start: Any, distance: float) -> None:
    """100 times: about -38.3 from the fixed start and -52.1 from varying ones."""
    found, error = mean_return(driven(start, standing_still))
    assert found == pytest.approx(-100 * distance, abs=error)
    assert error < 3


@pytest.mark.parametrize(("start", "bound"), [((0.0, 0.0), -5.78), ((-0.5, 0.5), -6.40)])
def test_who_knows_the_goal_earns_what_noise_of_deviation_1_leaves(start: Any, bound: float) -> None:
    """About -5.8 and -6.4: what no policy that explores with such noise is expected to beat by far."""
    trajectories = driven(start, straight_to_the_goal)
    found, error = mean_return(trajectories)
    assert found == pytest.approx(bound, abs=error)
    assert error < 0.4
    assert float(trajectories.alive[:, :, -1].float().mean()) < 0.5, "most arrive"


@pytest.mark.parametrize(
    "change",
    [
        {"shots": 0}, {"queries": 0}, {"horizon": 0}, {"goal": (1.0, 0.0)}, {"start": (1.0, 0.0)},
        {"speed": 0.0}, {"clip": -1.0}, {"clip": math.inf}, {"tolerance": -0.1}, {"discount": 1.1},
        {"reward": "cubed"},
    ],
)  # fmt: skip
def test_impossible_planes_are_refused(change: dict[str, Any]) -> None:
    """The line names the key."""
    with pytest.raises(ValueError, match=next(iter(change))):
        navigation(**change)
