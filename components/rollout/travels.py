"""Trajectories on a few test tasks, before adaptation and after each step: for pictures, and saved."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from components.episodes import Episodes
from components.navigation_pictures import Journeys
from components.parameters import ControlTasks
from components.scoring import Trained
from metasgd.adaptation import Learner
from metasgd.checkpoint import write_atomically
from metasgd.policy_adaptation import CHUNK, stages, to_device

SHOWN = 4  # test tasks


def travels_of(trained: Trained, data: Episodes) -> dict[str, Tensor]:
    """What was scored on the first test tasks.

    observations, actions, rewards, alive: [steps + 1, tasks, trajectories, time, ...], the first
    before adaptation; task/<name>: [tasks, ...].
    """
    device = next(iter(trained.meta.theta.values())).device
    # The whole first chunk is driven again, because the noise belongs to all its tasks.
    tasks = {name: value[:CHUNK] for name, value in data.fixed["test"].items()}
    found = stages(
        trained.learner,
        trained.meta,
        data.control,
        to_device(tasks, device),
        data.noise("test")(0),
        shots=data.shots,
        queries=data.tasks.stored.test_queries,
        steps=scored_steps(trained.learner, data),
    )
    shown = [{name: part[:SHOWN].cpu() for name, part in t._asdict().items()} for t in found]
    stacked = {name: torch.stack([stage[name] for stage in shown]) for name in shown[0]}
    return {**stacked, **{f"task/{name}": value[:SHOWN] for name, value in tasks.items()}}


def scored_steps(learner: Learner, data: Episodes) -> int:
    """Inner steps that are scored on test tasks: the learner's own, and further ones."""
    assert isinstance(data.tasks, ControlTasks)  # noqa: S101
    return max(learner.settings.test_steps, data.tasks.stored.test_steps)


def save_travels(tensors: Mapping[str, Tensor], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, save({name: value.contiguous() for name, value in tensors.items()}))


def journeys(name: str, tensors: Mapping[str, Tensor]) -> Journeys:
    """The same for the pictures of a plane; `name` is the algorithm's."""
    return Journeys(
        name=name,
        paths=tensors["observations"].numpy(),
        alive=tensors["alive"].numpy(),
        goals=tensors["task/goal"].numpy(),
        starts=tensors["task/start"].numpy(),
        returns=tensors["rewards"].sum(dim=-1).mean(dim=-1).numpy(),
    )
