"""2-D navigation as a Gymnasium environment: `metasgd.tasks.navigation`, one task and one trajectory.

    environment = gymnasium.make("metasgd.navigation_env:metasgd/Navigation2D-v0", horizon=50)

What stands before the colon is imported, and registers what stands behind it: Gymnasium 1 looks for
no environments by itself. Only this module needs Gymnasium.
"""

from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from metasgd.configuration import NavigationSettings
from metasgd.errors import InputError
from metasgd.tasks.navigation import Navigation

Numbers = NDArray[np.float32]


class Navigation2D(gymnasium.Env[Numbers, Numbers]):
    """A point that moves to a goal which it does not see.

    Observation: the point's position, two numbers. Action: two numbers; 1 moves by `speed` along an
    axis. Those outside of the action space are clipped to it, as in training. Reward: minus the
    distance to the goal after the move, or its square. Terminated at the goal, truncated at the
    horizon; after that only a reset has a meaning.
    info: "goal", two numbers.
    """

    def __init__(
        self,
        *,
        goal: tuple[float, float],
        start: tuple[float, float],
        horizon: int,
        speed: float,
        clip: float,
        tolerance: float,
        reward: Literal["distance", "squared"],
    ) -> None:
        """The keys are those of `NavigationSettings`; it raises ValueError for impossible values."""
        settings = NavigationSettings(
            kind="navigation", shots=1, queries=1, goal=goal, start=start, horizon=horizon, speed=speed,
            clip=clip, tolerance=tolerance, reward=reward, discount=1.0,
        )  # fmt: skip
        self._dynamics = Navigation(settings)
        # Sums of float32 are rounded: one step more than there are.
        reach = max(abs(bound) for bound in start) + speed * clip * (horizon + 1)
        self.observation_space = Box(-reach, reach, (self._dynamics.observations,), np.float32)
        self.action_space = Box(-clip, clip, (self._dynamics.actions,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Numbers, dict[str, Any]]:
        """Draw a new goal and start.

        options: "goal" and "start" take the places of what is drawn.
        Raises InputError for other options, and for one that is no point.
        """
        super().reset(seed=seed)
        stream = torch.Generator().manual_seed(int(self.np_random.integers(2**63)))
        self._task = self._dynamics.sample(1, stream)
        for name, value in (options or {}).items():
            if name not in self._task:
                raise InputError(f"option {name!r} is unknown; expected one of {', '.join(self._task)}")
            self._task[name] = _point(name, value).unsqueeze(0)
        self._state = self._dynamics.start(self._task, 1)
        self._time = 0
        return self._observation(), self._info()

    def step(self, action: Numbers) -> tuple[Numbers, float, bool, bool, dict[str, Any]]:
        actions = torch.tensor(np.asarray(action, dtype=np.float32)).view(1, 1, self._dynamics.actions)
        self._state, rewards, ended = self._dynamics.step(self._task, self._state, actions)
        self._time += 1
        truncated = self._time >= self._dynamics.horizon
        return self._observation(), float(rewards), bool(ended), truncated, self._info()

    def _observation(self) -> Numbers:
        # Gymnasium's users may keep and change what they are given.
        observation: Numbers = self._dynamics.observe(self._state)[0, 0].numpy().copy()
        return observation

    def _info(self) -> dict[str, Any]:
        return {"goal": self._task["goal"][0].numpy().copy()}


def _point(name: str, value: Any) -> Tensor:
    point = torch.tensor(np.asarray(value, dtype=np.float32))
    if point.shape != (2,):
        raise InputError(f"option {name!r} is {value!r}; expected two numbers")
    return point


gymnasium.register(
    id="metasgd/Navigation2D-v0",
    entry_point="metasgd.navigation_env:Navigation2D",
    # Those of defaults.control.tasks.distribution in params.yaml.
    kwargs={
        "goal": (-0.5, 0.5),
        "start": (0.0, 0.0),
        "horizon": 100,
        "speed": 0.1,
        "clip": 1.0,
        "tolerance": 0.01,
        "reward": "distance",
    },
)
