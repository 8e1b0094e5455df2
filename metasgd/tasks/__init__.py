"""Task distributions p(T): each module draws whole meta-batches of tasks as tensors."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Examples(NamedTuple):
    """Inputs and what is asked of them.

    x: [examples, *example]. y: [examples, ...], or a policy's `metasgd.policy_gradient.Experience`.
    """

    x: Tensor
    y: Any


class Batch(NamedTuple):
    """Tasks stacked along the first dimension; inside `vmap`, one task without it.

    support_x: [tasks, support, *example], support_y: [tasks, support, ...]: examples to adapt on.
    query_x: [tasks, query, *example], query_y: [tasks, query, ...]: examples that score the result.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor

    @property
    def support(self) -> Examples:
        return Examples(self.support_x, self.support_y)

    @property
    def query(self) -> Examples:
        return Examples(self.query_x, self.query_y)

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(to_device(tensor, device) for tensor in self))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device. The host does not wait for a copy to a GPU, which takes its turn among other work."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)


class TaskDistribution(Protocol):
    """p(T) for meta-training, and the stored tasks that score it.

    Stored tasks are a mapping of small tensors (indices, or parameters of a function), so that they
    can be stored; `stored_batch` turns them into examples. One stored task serves every number of
    shots up to the one it was drawn with: fewer shots use its first ones.
    """

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """`count` new tasks for meta-training."""
        ...

    def draw_stored(
        self, count: int, shots: int, queries: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """`count` tasks to be stored, with up to `shots` examples to adapt on."""
        ...

    def stored_batch(self, stored: dict[str, Tensor], shots: int, queries: int) -> Batch:
        """The examples of stored tasks."""
        ...
