"""What a task asks for: the loss that is minimised and the score that is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """loss and score take outputs [examples, outputs] and targets, and give one number.

    Both are means over examples; alpha multiplies the gradient of this mean loss.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    metric: Literal["mse", "accuracy"]
    higher_is_better: bool

    def better(self, score: float, than: float | None) -> bool:
        """Strictly better; anything is better than nothing."""
        return than is None or (score > than if self.higher_is_better else score < than)


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=-1) == targets).to(torch.float32).mean()


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    # Not F.mse_loss: a second derivative through it under vmap is slower than this square.
    return (outputs - targets).square().mean()


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets)


OBJECTIVES = {
    "regression": Objective(_squared_error, _squared_error, metric="mse", higher_is_better=False),
    "classification": Objective(_cross_entropy, _accuracy, metric="accuracy", higher_is_better=True),
}
