"""Policies that adapt to many tasks at once, each on its own trajectories, through `Learner.adapt`."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import vmap

from metasgd.adaptation import Learner, Meta
from metasgd.networks import Parameters
from metasgd.policy_gradient import Experience, experience
from metasgd.rollouts import Dynamics, Tasks, Trajectories, draw_noise, rollout

CHUNK = 100  # tasks that are rolled out at once in scoring; bounds memory, and fixed, so that bits repeat


def shared(theta: Parameters, tasks: int) -> Parameters:
    """The same theta for every task, [tasks, ...]."""
    return {name: value.expand(tasks, *value.shape) for name, value in theta.items()}


def collect(
    learner: Learner,
    thetas: Parameters,
    dynamics: Dynamics,
    tasks: Tasks,
    trajectories: int,
    generator: torch.Generator,
) -> Trajectories:
    """Fresh trajectories of every task under its own theta. thetas: [tasks, ...]."""
    some = next(iter(tasks.values()))
    noise = draw_noise(dynamics, len(some), trajectories, generator, some.device)
    return rollout(dynamics, tasks, lambda seen: vmap(learner.network)(thetas, seen), noise)


def evidence(learner: Learner, trajectories: Trajectories) -> tuple[Tensor, Experience]:
    """What `Learner.adapt` takes as x and y, stacked over tasks."""
    return trajectories.observations, experience(trajectories, learner.problem.discount)


def adapt(learner: Learner, thetas: Parameters, alpha: Parameters, trajectories: Trajectories) -> Parameters:
    """One inner step of every task on its own trajectories. thetas: [tasks, ...]."""
    step = vmap(lambda theta, x, y: learner.adapt(Meta(theta, alpha), x, y))
    adapted: Parameters = step(thetas, *evidence(learner, trajectories))
    return adapted


@torch.no_grad()
def stages(
    learner: Learner,
    meta: Meta,
    dynamics: Dynamics,
    tasks: Tasks,
    generator: torch.Generator,
    *,
    shots: int,
    queries: int,
    steps: int,
) -> Iterator[Trajectories]:
    """`queries` trajectories of every task before any inner step, then after each one.

    Every inner step adapts on `shots` fresh trajectories of the policy that the step before left.
    """
    thetas = shared(meta.theta, len(next(iter(tasks.values()))))
    yield collect(learner, thetas, dynamics, tasks, queries, generator)
    for _ in range(steps):
        support = collect(learner, thetas, dynamics, tasks, shots, generator)
        thetas = adapt(learner, thetas, meta.alpha, support)
        yield collect(learner, thetas, dynamics, tasks, queries, generator)


def mean_returns(
    learner: Learner,
    meta: Meta,
    dynamics: Dynamics,
    tasks: Tasks,
    noise: Callable[[int], torch.Generator],
    *,
    shots: int,
    queries: int,
    steps: int,
) -> Tensor:
    """Mean undiscounted returns [tasks, steps + 1]: column s after s inner steps. On the CPU.

    tasks may lie on another device than theta.
    noise: the number of a chunk of tasks to the stream of its actions' noise. Every learner meets
        the same noise, up to each step, however many steps follow.
    """
    device = next(iter(meta.theta.values())).device

    def scored(number: int, chunk: Tasks) -> Tensor:
        found = stages(
            learner, meta, dynamics, chunk, noise(number), shots=shots, queries=queries, steps=steps
        )
        return torch.stack([query.returns().mean(dim=1) for query in found], dim=1).cpu()

    return torch.cat(
        [scored(number, to_device(chunk, device)) for number, chunk in enumerate(_chunks(tasks))]
    )


def to_device(tasks: Tasks, device: torch.device) -> Tasks:
    return {name: value.to(device) for name, value in tasks.items()}


def _chunks(tasks: Tasks) -> Iterator[Tasks]:
    split = {name: torch.split(value, CHUNK) for name, value in tasks.items()}
    for values in zip(*split.values(), strict=True):
        yield dict(zip(split, values, strict=True))
