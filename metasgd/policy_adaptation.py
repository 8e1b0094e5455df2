"""Policies that adapt to many tasks at once, each on its own trajectories, through `Learner.adapt`."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from metasgd.learner import Adapted, Learner, Meta
from metasgd.policy_gradient import experience
from metasgd.rollouts import Dynamics, Tasks, Trajectories, draw_noise, rollout
from metasgd.tasks import Examples
from metasgd.trees import Parameters, expand_over_tasks, move

CHUNK = 100  # tasks that are rolled out at once in scoring; bounds memory, and fixed, so that bits repeat


class Environments(NamedTuple):
    """Tasks of one family, which are driven side by side. tasks: tensors [tasks, ...]."""

    dynamics: Dynamics
    tasks: Tasks

    def __len__(self) -> int:
        return len(next(iter(self.tasks.values())))

    def to(self, device: torch.device) -> "Environments":
        return Environments(self.dynamics, move(self.tasks, device))

    def first(self, count: int) -> "Environments":
        return Environments(self.dynamics, {name: value[:count] for name, value in self.tasks.items()})

    def chunks(self, size: int) -> Iterator["Environments"]:
        split = {name: torch.split(value, size) for name, value in self.tasks.items()}
        for values in zip(*split.values(), strict=True):
            yield Environments(self.dynamics, dict(zip(split, values, strict=True)))


class Plan(NamedTuple):
    """How policies are scored: by `queries` trajectories, after `steps` inner steps on `shots` each."""

    shots: int
    queries: int
    steps: int


def unadapted(meta: Meta, tasks: int) -> Adapted:
    """The policy before adaptation, the same for every task; all its tensors are [tasks, ...]."""
    return Adapted(expand_over_tasks(meta.theta, tasks), {})


def collect(
    learner: Learner, policies: Adapted, environments: Environments, trajectories: int, noise: torch.Generator
) -> Trajectories:
    """Fresh trajectories of every task under its own policy. policies: [tasks, ...]."""
    dynamics, tasks = environments
    device = next(iter(tasks.values())).device
    drawn = draw_noise(dynamics, len(environments), trajectories, noise, device)
    return rollout(dynamics, tasks, lambda seen: vmap(learner.predict)(policies, seen), drawn)


def evidence(learner: Learner, trajectories: Trajectories) -> Examples:
    """What `Learner.adapt` takes, stacked over tasks."""
    return Examples(trajectories.observations, experience(trajectories, learner.problem.discount))


def adapt(learner: Learner, policies: Adapted, alpha: Parameters, seen: Trajectories) -> Adapted:
    """One inner step of every task on its own trajectories. policies: [tasks, ...]."""
    step = vmap(lambda theta, support: learner.adapt(Meta(theta, alpha), support))
    adapted: Adapted = step(policies.theta, evidence(learner, seen))
    return adapted


@torch.no_grad()
def stages(
    learner: Learner, meta: Meta, environments: Environments, plan: Plan, noise: torch.Generator
) -> Iterator[Trajectories]:
    """The trajectories that score every task, before any inner step, then after each one.

    Every inner step adapts on fresh trajectories of the policy that the step before left.
    """
    policies = unadapted(meta, len(environments))
    yield collect(learner, policies, environments, plan.queries, noise)
    for _ in range(plan.steps):
        support = collect(learner, policies, environments, plan.shots, noise)
        policies = adapt(learner, policies, meta.alpha, support)
        yield collect(learner, policies, environments, plan.queries, noise)


def mean_returns(
    learner: Learner,
    meta: Meta,
    environments: Environments,
    plan: Plan,
    noise: Callable[[int], torch.Generator],
) -> Tensor:
    """Mean undiscounted returns [tasks, steps + 1]: column s after s inner steps. On the CPU.

    environments: may lie on another device than theta.
    noise: the number of a chunk of tasks to the stream of its actions' noise. Every learner meets
        the same noise, up to each step, however many steps follow.
    """
    device = next(iter(meta.theta.values())).device

    def scored(number: int, chunk: Environments) -> Tensor:
        found = stages(learner, meta, chunk.to(device), plan, noise(number))
        return torch.stack([query.returns().mean(dim=1) for query in found], dim=1).cpu()

    return torch.cat([scored(number, chunk) for number, chunk in enumerate(environments.chunks(CHUNK))])
