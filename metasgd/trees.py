"""Arithmetic on parameters: mappings from names to tensors, and lists of tensors as one vector."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

Parameters = dict[str, Tensor]


def add(one: Parameters, other: Parameters) -> Parameters:
    return {name: value + other[name] for name, value in one.items()}


def divide(parameters: Parameters, divisor: float) -> Parameters:
    return {name: value / divisor for name, value in parameters.items()}


def sum_over_tasks(parameters: Parameters) -> Parameters:
    """[tasks, ...] -> [...]."""
    return {name: value.sum(0) for name, value in parameters.items()}


def expand_over_tasks(parameters: Parameters, tasks: int) -> Parameters:
    """The same for every task: [...] -> [tasks, ...]."""
    return {name: value.expand(tasks, *value.shape) for name, value in parameters.items()}


def move(parameters: Parameters, device: torch.device) -> Parameters:
    return {name: value.to(device) for name, value in parameters.items()}


def copy(parameters: Parameters, device: torch.device | None = None) -> Parameters:
    """The same numbers in tensors of their own."""
    return {name: value.to(device, copy=True) for name, value in parameters.items()}


def flatten(tensors: Iterable[Tensor]) -> Tensor:
    """All numbers as one vector."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def unflatten(vector: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The inverse of `flatten`."""
    parts = torch.split(vector, [shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
