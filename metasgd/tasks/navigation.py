"""2-D navigation (section 5.3): move a point to a goal that only the rewards give away."""

from dataclasses import dataclass

import torch
from torch import Tensor

from metasgd.configuration import NavigationSettings
from metasgd.rollouts import Tasks


@dataclass(frozen=True)
class Navigation:
    """Implements `metasgd.rollouts.Dynamics`. A task is a goal and a start, each [tasks, 2]."""

    settings: NavigationSettings
    observations = 2
    actions = 2

    @property
    def horizon(self) -> int:
        return self.settings.horizon

    def sample(self, count: int, generator: torch.Generator) -> Tasks:
        def points(bounds: tuple[float, float]) -> Tensor:
            low, high = bounds
            return torch.rand((count, 2), generator=generator) * (high - low) + low

        return {"goal": points(self.settings.goal), "start": points(self.settings.start)}

    def start(self, tasks: Tasks, trajectories: int) -> Tensor:
        return tasks["start"].unsqueeze(1).expand(-1, trajectories, -1)

    def observe(self, states: Tensor) -> Tensor:
        return states

    def step(self, tasks: Tasks, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        clip = self.settings.clip
        states = states + self.settings.speed * actions.clamp(-clip, clip)
        offsets = states - tasks["goal"].unsqueeze(1)
        distances = offsets.norm(dim=-1)
        rewards = -distances if self.settings.reward == "distance" else -distances.square()
        return states, rewards, (offsets.abs() < self.settings.tolerance).all(dim=-1)
