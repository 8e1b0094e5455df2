"""What a task asks for: the loss that is minimised and the score that is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from metasgd.policy_gradient import Experience, policy_gradient_loss


@dataclass(frozen=True)
class Objective:
    """loss and score take outputs [examples, outputs] and targets, and give one number.

    Both are means over examples; alpha multiplies the gradient of this mean loss. In control the
    examples are time steps, the targets are what was done there and what came of it, and the score
    is the mean return.
    """

    loss: Callable[[Tensor, Any], Tensor]
    score: Callable[[Tensor, Any], Tensor]
    metric: Literal["mse", "accuracy", "return"]
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


def _mean_return(outputs: Tensor, experience: Experience) -> Tensor:
    return experience.returns.mean()


OBJECTIVES = {
    "regression": Objective(_squared_error, _squared_error, metric="mse", higher_is_better=False),
    "classification": Objective(_cross_entropy, _accuracy, metric="accuracy", higher_is_better=True),
    "control": Objective(policy_gradient_loss, _mean_return, metric="return", higher_is_better=True),
}
