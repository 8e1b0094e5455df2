"""Trajectories on a few test tasks, before adaptation and after each inner step, as tensors in one file.

observations, actions, rewards, alive: [steps + 1, tasks, trajectories, time, ...], the first before
adaptation; task/<name>: [tasks, ...].
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from metasgd.files import write_atomically
from metasgd.rollouts import Tasks, Trajectories


def stack_stages(found: Iterable[Trajectories], tasks: Tasks, count: int) -> dict[str, Tensor]:
    """The stages of the first `count` tasks."""
    shown = [{name: part[:count].cpu() for name, part in stage._asdict().items()} for stage in found]
    stacked = {name: torch.stack([stage[name] for stage in shown]) for name in shown[0]}
    return {**stacked, **{f"task/{name}": value[:count] for name, value in tasks.items()}}


def in_planes(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the tasks have a goal and a start in a plane."""
    return {"task/goal", "task/start"} <= tensors.keys()


def save_trajectories(tensors: Mapping[str, Tensor], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, save({name: value.contiguous() for name, value in tensors.items()}))
