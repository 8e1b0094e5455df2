"""A policy in Gymnasium's environment, which adapts there on trajectories of its own.

What `metasgd.policy_adaptation.stages` does in scoring, for one task: the same streams of noise, the same
inner step, and in place of the batched dynamics an environment for each trajectory.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from metasgd import gaussian
from metasgd.configuration import NavigationSettings
from metasgd.learner import Adapted, Learner, Meta
from metasgd.navigation_env import Navigation2D
from metasgd.policy_adaptation import Plan, adapt, unadapted
from metasgd.rollouts import Policy, Tasks, Trajectories
from metasgd.seeds import generator


class Driven(NamedTuple):
    """tasks: "goal" and "start", each [goals, 2]. stages: before adaptation, then after each inner step."""

    tasks: Tasks
    stages: list[Trajectories]


def environment(settings: NavigationSettings) -> Navigation2D:
    return Navigation2D(
        goal=settings.goal, start=settings.start, horizon=settings.horizon, speed=settings.speed,
        clip=settings.clip, tolerance=settings.tolerance, reward=settings.reward,
    )  # fmt: skip


def drive_to_goals(
    learner: Learner,
    meta: Meta,
    settings: NavigationSettings,
    plan: Plan,
    goals: Sequence[tuple[float, float] | None],
    seed: int,
) -> Driven:
    """Before adaptation and after each inner step, towards each goal.

    plan: trajectories to adapt on, and to drive at every stage. goals: None for one that is drawn.
    seed: with the number of the goal, it decides the goal, the start and the noise.
    """
    tasks, driven = [], []
    for number, goal in enumerate(goals):
        task = drawn_task(settings, goal, seed + number)
        noise = generator(seed, f"prediction noise {number}")
        driven.append(drive_to_goal(learner, meta, settings, plan, task, noise))
        tasks.append(task)
    joined = {name: torch.tensor(np.stack([task[name] for task in tasks])) for name in tasks[0]}
    return Driven(joined, [_side_by_side(stage) for stage in zip(*driven, strict=True)])


def drawn_task(
    settings: NavigationSettings, goal: tuple[float, float] | None, seed: int
) -> dict[str, np.ndarray]:
    """A goal and a start, each [2], as the environment draws them; `goal` is taken where it is given."""
    start, info = environment(settings).reset(seed=seed, options=None if goal is None else {"goal": goal})
    return {"goal": info["goal"], "start": start}


@torch.no_grad()
def drive_to_goal(
    learner: Learner,
    meta: Meta,
    settings: NavigationSettings,
    plan: Plan,
    task: Mapping[str, np.ndarray],
    noise: torch.Generator,
) -> list[Trajectories]:
    """The trajectories [1, queries, time, ...] of every stage."""
    environments = [environment(settings) for _ in range(max(plan.shots, plan.queries))]

    def collect(policies: Adapted, count: int) -> Trajectories:
        drawn = torch.randn((settings.horizon, 1, count, learner.problem.outputs), generator=noise)
        return drive(environments[:count], task, lambda seen: vmap(learner.predict)(policies, seen), drawn)

    policies = unadapted(meta, 1)
    stages = [collect(policies, plan.queries)]
    for _ in range(plan.steps):
        policies = adapt(learner, policies, meta.alpha, collect(policies, plan.shots))
        stages.append(collect(policies, plan.queries))
    return stages


def drive(
    environments: Sequence[Navigation2D], task: Mapping[str, np.ndarray], policy: Policy, noise: Tensor
) -> Trajectories:
    """One trajectory in each environment, side by side; as `metasgd.rollouts.rollout`.

    task: "goal" and "start". noise: standard normal [time, 1, trajectories, actions].
    """
    seen = [one.reset(options=dict(task))[0] for one in environments]
    alive = torch.ones(1, len(environments), dtype=torch.bool)
    steps = []
    for now in noise:
        observations = torch.tensor(np.stack(seen)).unsqueeze(0)
        actions = gaussian.sample(policy(observations), now)
        rewards, going = torch.zeros(alive.shape), alive.clone()
        for number in going[0].nonzero().flatten().tolist():
            space = environments[number].action_space
            # Clipped for the environment alone: densities are those of the actions that were drawn.
            action = np.clip(actions[0, number].numpy(), space.low, space.high)
            seen[number], rewards[0, number], ended, _, _ = environments[number].step(action)
            alive[0, number] = not ended
        steps.append((observations, actions, rewards, going))
    return Trajectories(*(torch.stack(values, dim=2) for values in zip(*steps, strict=True)))


def _side_by_side(stage: Sequence[Trajectories]) -> Trajectories:
    return Trajectories(*(torch.cat(parts) for parts in zip(*stage, strict=True)))
