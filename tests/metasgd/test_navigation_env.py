"""The Gymnasium environment: it keeps Gymnasium's rules, and steps as the batched dynamics do."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from gymnasium.utils.env_checker import check_env

from metasgd.errors import InputError
from metasgd.navigation_env import Navigation2D
from metasgd.rollouts import Trajectories, rollout
from metasgd.seeds import generator
from metasgd.tasks.navigation import Navigation
from tests.metasgd.small import navigation

ID = "metasgd/Navigation2D-v0"
ROOT = Path(__file__).parents[2]


def environment(**options: Any) -> Navigation2D:
    made = gymnasium.make(ID, **options).unwrapped
    assert isinstance(made, Navigation2D)
    return made


@pytest.mark.parametrize(
    "options", [{}, {"start": (-0.5, 0.5), "reward": "squared", "clip": 0.5, "horizon": 7}]
)
def test_it_keeps_gymnasiums_rules(options: dict[str, Any]) -> None:
    """Gymnasium's own checker, whose warnings are errors here."""
    check_env(environment(**options))


def test_an_id_with_its_module_needs_no_import() -> None:
    """A fresh interpreter that imports Gymnasium alone makes it."""
    code = f"import gymnasium; print(gymnasium.make('metasgd.navigation_env:{ID}').spec.id)"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (ID, "")


def test_its_defaults_are_those_of_the_experiments() -> None:
    """What is registered stands in params.yaml, too; the rest there is no one trajectory's matter."""
    document = yaml.safe_load((ROOT / "params.yaml").read_text())
    declared = document["defaults"]["control"]["tasks"]["distribution"]
    registered = gymnasium.spec(ID).kwargs
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in registered.items()} == {
        key: value for key, value in declared.items() if key not in ("kind", "shots", "queries", "discount")
    }


def batched(dynamics: Navigation, goal: np.ndarray, start: np.ndarray, actions: torch.Tensor) -> Trajectories:
    """The same task and actions in `metasgd.rollouts`. actions: [time, 2]."""
    tasks = {"goal": torch.tensor(goal).unsqueeze(0), "start": torch.tensor(start).unsqueeze(0)}
    # Zero means of deviation 1: the noise is the action.
    return rollout(dynamics, tasks, lambda seen: torch.zeros(*seen.shape[:-1], 4), actions.view(-1, 1, 1, 2))


def steps_that_agree(
    made: Navigation2D, dynamics: Navigation, actions: torch.Tensor, options: Any, seed: int
) -> int:
    """Drive both until the end, which comes after so many steps."""
    observation, info = made.reset(seed=seed, options=options)
    goal = info["goal"]
    expected = batched(dynamics, goal, observation, actions)
    for time, action in enumerate(actions):
        assert expected.alive[0, 0, time]
        assert observation == pytest.approx(expected.observations[0, 0, time].numpy(), abs=1e-6)
        observation, reward, terminated, truncated, info = made.step(action.numpy())
        assert reward == pytest.approx(float(expected.rewards[0, 0, time]), abs=1e-6)
        assert observation.dtype == np.float32
        assert info["goal"].tolist() == goal.tolist()
        assert truncated is (time == len(actions) - 1)
        if terminated:
            assert not expected.alive[0, 0, time + 1 :].any()
        if terminated or truncated:
            return time + 1
    raise AssertionError("no end")


@pytest.mark.parametrize(
    "changes", [{}, {"start": (-0.5, 0.5), "reward": "squared", "clip": 0.7, "speed": 0.2}]
)
def test_it_steps_as_the_batched_dynamics_do(changes: dict[str, Any]) -> None:
    """Observations, rewards and ends of random actions, some of them far beyond the clip."""
    made, dynamics = environment(horizon=20, **changes), navigation(horizon=20, **changes)
    for seed in range(3):
        actions = 2 * torch.randn((20, 2), generator=generator(seed, "actions"))
        assert steps_that_agree(made, dynamics, actions, None, seed) == 20


def test_it_ends_at_the_goal_as_the_batched_dynamics_do() -> None:
    """Random actions that come by a goal: terminated, not truncated, at the same step."""
    made, dynamics = environment(horizon=20), navigation(horizon=20)
    actions = torch.randn((20, 2), generator=generator(1, "actions"))
    goal = 0.1 * actions[:6].clamp(-1, 1).sum(dim=0) + 0.004
    options = {"goal": goal.tolist(), "start": [0.0, 0.0]}
    assert steps_that_agree(made, dynamics, actions, options, seed=1) == 6


def test_goals_are_new_every_time_and_decided_by_the_seed() -> None:
    """The same seed gives the same goals in a row; a varying start is drawn as well."""
    made = environment(start=(-0.5, 0.5))

    def drawn(seed: int) -> list[float]:
        found = [made.reset(seed=seed), made.reset()]
        return [float(value) for start, info in found for value in (*start, *info["goal"])]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 8
    assert all(abs(value) <= 0.5 for value in drawn(1))


def test_options_set_goal_and_start() -> None:
    """Each on its own: the other one is drawn; a step goes on from there."""
    made = environment()
    observation, info = made.reset(seed=1, options={"goal": (0.3, 0.4)})
    assert info["goal"].tolist() == pytest.approx([0.3, 0.4])
    assert observation.tolist() == [0.0, 0.0]
    observation, info = made.reset(seed=1, options={"start": np.array([0.2, 0.1])})
    assert observation.tolist() == pytest.approx([0.2, 0.1])
    _, info = made.reset(seed=1, options={"goal": [0.0, 0.1], "start": [0.1, 0.1]})
    _, reward, terminated, truncated, _ = made.step(np.array([-0.5, 0.0]))
    assert reward == pytest.approx(-0.05)
    assert (terminated, truncated) == (False, False)


def test_what_it_gives_is_the_users() -> None:
    """Changing an observation or a goal changes nothing inside."""
    made = environment()
    observation, info = made.reset(seed=1, options={"goal": (0.3, 0.4), "start": (0.0, 0.0)})
    observation += 5
    info["goal"] += 5
    _, reward, _, _, info = made.step(np.zeros(2))
    assert reward == pytest.approx(-0.5)
    assert info["goal"].tolist() == pytest.approx([0.3, 0.4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gaol": (0, 0)}, "'gaol' is unknown; expected one of goal, start"),
        ({"goal": 1}, "expected two numbers"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    """In one line that says what was expected."""
    with pytest.raises(InputError, match=message):
        environment().reset(options=options)


@pytest.mark.parametrize(
    "change", [{"horizon": 0}, {"speed": -1.0}, {"clip": math.inf}, {"goal": (1.0, 0.0)}]
)
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    """As where the experiments' parameters are read."""
    with pytest.raises(ValueError, match=next(iter(change))):
        environment(**change)
