"""Where a training can stop: between two iterations."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

T = TypeVar("T")


class _Tasks:
    """Tasks with a check before a meta-batch is drawn, with which every iteration begins."""

    def __init__(self, tasks: Any, check: Callable[[], None]) -> None:
        self.tasks, self.check = tasks, check

    def sample(self, count: int, generator: torch.Generator) -> Any:
        self.check()
        return self.tasks.sample(count, generator)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tasks, name)


def checked(tasks: T, check: Callable[[], None]) -> T:
    """A task distribution or dynamics, the same in all else. check: raises what ends the training."""
    return cast(T, _Tasks(tasks, check))
