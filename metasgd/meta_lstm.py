"""Meta-LSTM (Ravi and Larochelle 2017): an LSTM cell, the same for every parameter, makes the inner steps.

    theta' = f * theta - i * grad L(theta)

The gates f and i are learned functions of the gradient, the loss, theta and what they were before. With one
step, and gates that are constant per parameter (f = 1, i = alpha), this is Meta-SGD.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from metasgd.adaptation import SteppingLearner
from metasgd.heads import layer
from metasgd.learner import Meta
from metasgd.learner_settings import MetaLstmSettings
from metasgd.tasks import Examples
from metasgd.trees import Parameters, flatten, unflatten

P = 10.0  # of `preprocessed`
RULE = ("lstm", "forget", "take")
SIGNALS = 4  # that the LSTM sees of a parameter: two of its gradient, two of the loss


class Cell(NamedTuple):
    """The state of each of `numbers` parameters.

    theta: [numbers]. forget, take: [numbers], the gates as they were in the last step.
    hidden, memory: [hidden, numbers], of the LSTM.
    """

    theta: Tensor
    forget: Tensor
    take: Tensor
    hidden: Tensor
    memory: Tensor


@dataclass(frozen=True)
class MetaLstmLearner(SteppingLearner):
    """theta: the cell's first state, and the weights of the LSTM and the gates, shared by all parameters.

    The meta-gradient takes inner gradients and losses as constants, as in the paper.
    """

    settings: MetaLstmSettings

    @property
    def vectorises(self) -> bool:
        """The LSTM's states, of every parameter and step, fill the memory with those of few tasks."""
        return False

    def initial(self, generator: torch.Generator) -> Meta:
        """Gates start at f near 1 and i near 0: theta stays where it is."""
        hidden = self.settings.hidden

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(shape, generator=generator)

        theta = self.network.initial(generator)
        rule = {
            "lstm.input": uniform(-0.01, 0.01, 4 * hidden, SIGNALS),
            "lstm.hidden": uniform(-0.01, 0.01, 4 * hidden, hidden),
            "lstm.bias": torch.zeros(4 * hidden),
            "forget.weight": uniform(-0.01, 0.01, hidden + 2),
            "forget.bias": uniform(4.0, 5.0, 1),
            "take.weight": uniform(-0.01, 0.01, hidden + 2),
            "take.bias": uniform(-5.0, -4.0, 1),
        }
        return Meta({**theta, **rule}, {})

    def thetas(self, meta: Meta, support: Examples, steps: int) -> Iterator[Parameters]:
        theta, rule = _parts(self.spread(meta).theta)
        shapes = [value.shape for value in theta.values()]
        cell = _fresh(flatten(theta.values()), self.settings.hidden)
        for _ in range(steps):
            gradients, loss = grad_and_value(self.support_loss)(theta, support)
            cell = step(rule, cell, flatten(gradients.values()).detach(), loss.detach())
            theta = dict(zip(theta, unflatten(cell.theta, shapes), strict=True))
            yield theta


def _parts(theta: Parameters) -> tuple[Parameters, Parameters]:
    """The network's parameters, and the rule's."""
    rule = {name: value for name, value in theta.items() if layer(name) in RULE}
    return {name: value for name, value in theta.items() if name not in rule}, rule


def _fresh(theta: Tensor, hidden: int) -> Cell:
    nothing = torch.zeros_like(theta)
    wide = nothing.expand(hidden, -1)
    return Cell(theta, nothing, nothing, wide, wide)


def step(rule: Parameters, cell: Cell, gradients: Tensor, loss: Tensor) -> Cell:
    """One inner step (equations 2 to 4). gradients: [numbers]; loss: 0-dimensional."""
    of_gradients, of_loss = rule["lstm.input"].tensor_split(2, dim=1)
    same = of_loss @ preprocessed(loss) + rule["lstm.bias"]  # the loss is one for all parameters
    seen = torch.cat([preprocessed(gradients), cell.hidden])
    gates = torch.cat([of_gradients, rule["lstm.hidden"]], dim=1) @ seen + same.unsqueeze(-1)
    enter, keep, leave, new = gates.chunk(4)
    memory = keep.sigmoid() * cell.memory + enter.sigmoid() * new.tanh()
    hidden = leave.sigmoid() * memory.tanh()

    def gate(name: str, before: Tensor) -> Tensor:
        weight = rule[f"{name}.weight"]  # of hidden, theta and the gate before
        found = weight[:-2] @ hidden + weight[-2] * cell.theta + weight[-1] * before + rule[f"{name}.bias"]
        return found.sigmoid()

    forget, take = gate("forget", cell.forget), gate("take", cell.take)
    return Cell(forget * cell.theta - take * gradients, forget, take, hidden, memory)


def preprocessed(x: Tensor) -> Tensor:
    """[...] -> [2, ...]: size and sign of numbers of any magnitude (appendix of Andrychowicz et al. 2016)."""
    size = x.abs()
    large = size >= math.exp(-P)
    logarithm = torch.where(large, size.clamp(min=math.exp(-P)).log() / P, -1.0)
    return torch.stack([logarithm, torch.where(large, x.sign(), math.exp(P) * x)])
