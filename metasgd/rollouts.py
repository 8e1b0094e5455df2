"""Trajectories of many tasks at once: tensors over tasks x trajectories x time.

The only loop is over time. A family of environments implements `Dynamics`; `metasgd.tasks.navigation`
is one.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from metasgd import gaussian

Tasks = dict[str, Tensor]
Policy = Callable[[Tensor], Tensor]


class Dynamics(Protocol):
    """A family of Markov decision processes, of which every task is one.

    Tasks are a mapping of small tensors [tasks, ...], so that they can be stored. States are one
    tensor [tasks, trajectories, state]. Everything stays on the tasks' device.
    """

    @property
    def horizon(self) -> int:
        """Time steps after which a trajectory ends."""
        ...

    @property
    def observations(self) -> int:
        """Numbers that the policy sees."""
        ...

    @property
    def actions(self) -> int:
        """Numbers that it answers with."""
        ...

    def sample(self, count: int, generator: torch.Generator) -> Tasks:
        """`count` new tasks."""
        ...

    def start(self, tasks: Tasks, trajectories: int) -> Tensor:
        """First states [tasks, trajectories, state]."""
        ...

    def observe(self, states: Tensor) -> Tensor:
        """What the policy sees of states: [tasks, trajectories, observations]. It need not see the task."""
        ...

    def step(self, tasks: Tasks, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Next states, rewards [tasks, trajectories], and bool [tasks, trajectories]: was this the end?"""
        ...


class Trajectories(NamedTuple):
    """What happened; time comes third.

    observations: [tasks, trajectories, time, observations], before each action.
    actions: [tasks, trajectories, time, actions], as the policy drew them.
    rewards: [tasks, trajectories, time]; 0 after a trajectory's end.
    alive: bool [tasks, trajectories, time]; False after a trajectory's end.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    alive: Tensor

    def returns(self) -> Tensor:
        """Undiscounted sums of rewards [tasks, trajectories]."""
        return self.rewards.sum(dim=-1)


def draw_noise(
    dynamics: Dynamics, tasks: int, trajectories: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Standard normal numbers [time, tasks, trajectories, actions], the same ones on every device."""
    shape = (dynamics.horizon, tasks, trajectories, dynamics.actions)
    return torch.randn(shape, generator=generator).to(device)


@torch.no_grad()
def rollout(dynamics: Dynamics, tasks: Tasks, policy: Policy, noise: Tensor) -> Trajectories:
    """Drive every task with a Gaussian policy.

    policy: observations [tasks, trajectories, observations] to `metasgd.gaussian` parameters.
    noise: from `draw_noise`; it decides the number of trajectories.
    """
    states = dynamics.start(tasks, noise.shape[2])
    alive = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    steps = []
    for now in noise:
        observations = dynamics.observe(states)
        actions = gaussian.sample(policy(observations), now)
        following, rewards, ended = dynamics.step(tasks, states, actions)
        steps.append((observations, actions, rewards * alive, alive))
        states = torch.where(alive.unsqueeze(-1), following, states)
        alive = alive & ~ended
    return Trajectories(*(torch.stack(values, dim=2) for values in zip(*steps, strict=True)))
