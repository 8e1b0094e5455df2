"""Functional networks: parameters go in as a mapping, nothing is stored in a module.

`network(theta, x)` gives outputs; `network.initial(generator)` draws a first theta. So the same
network runs with the parameters of many tasks at once under `torch.func.vmap`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor

from metasgd.configuration import ConvNetSettings, MlpSettings, NetworkSettings, PolicySettings
from metasgd.convnet import ConvBody, ConvNet
from metasgd.initialisation import he_normal
from metasgd.trees import Parameters


class Network(Protocol):
    @property
    def vectorises(self) -> bool:
        """Whether it runs well under `vmap` over many tasks' theta; else they go one after the other."""
        ...

    @property
    def shares_head(self) -> bool:
        """Whether all classes start from one row of the classifier (`metasgd.heads`)."""
        ...

    @property
    def served(self) -> "Network":
        """The same network, whose outputs for an example do not depend on the other examples."""
        ...

    def initial(self, generator: torch.Generator) -> Parameters:
        """Random parameters theta."""
        ...

    def context(self, theta: Parameters, support_x: Tensor) -> Parameters:
        """What normalises query examples, of the support examples; empty where nothing of theirs does."""
        ...

    def __call__(self, theta: Parameters, x: Tensor, context: Parameters | None = None) -> Tensor:
        """Outputs [examples, outputs] for x [examples, *input_shape].

        context: for query examples; without it, all examples are normalised by their own statistics.
        """
        ...


class PerExample:
    """Base of networks whose outputs for an example depend on that example alone."""

    vectorises: ClassVar[bool] = True
    shares_head: ClassVar[bool] = False

    @property
    def served(self) -> Self:
        return self

    def context(self, theta: Parameters, support_x: Tensor) -> Parameters:
        return {}


def build(settings: NetworkSettings, input_shape: tuple[int, ...], outputs: int) -> Network:
    """The network that `settings` describe, for examples of `input_shape`.

    Raises InputError where pooling would leave nothing of a picture.
    """
    match settings:
        case MlpSettings():
            return Mlp(settings.hidden, math.prod(input_shape), outputs)
        case PolicySettings():
            return Policy(settings, Mlp(settings.hidden, math.prod(input_shape), outputs))
        case ConvNetSettings():
            return ConvNet(ConvBody.of(settings, input_shape), outputs)


@dataclass(frozen=True)
class Mlp(PerExample):
    """Fully connected layers with ReLU between them. x: [examples, inputs].

    multiply: x, weight -> x @ weight.
    """

    hidden: tuple[int, ...]
    inputs: int
    outputs: int
    multiply: Callable[[Tensor, Tensor], Tensor] = torch.matmul

    def initial(self, generator: torch.Generator) -> Parameters:
        widths = (self.inputs, *self.hidden, self.outputs)
        theta: Parameters = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
            theta[f"linear{layer}.weight"] = he_normal(fan_in, fan_out, generator)
            theta[f"linear{layer}.bias"] = torch.zeros(fan_out)
        return theta

    def __call__(self, theta: Parameters, x: Tensor, context: Parameters | None = None) -> Tensor:
        x = x.flatten(1)
        last = len(self.hidden)
        for layer in range(last + 1):
            x = self.multiply(x, theta[f"linear{layer}.weight"]) + theta[f"linear{layer}.bias"]
            x = x.relu() if layer < last else x
        return x


def multiplied_out(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight as a sum over products, which a compiler fuses with what is around it."""
    return (x.unsqueeze(-1) * weight).sum(-2)


@dataclass(frozen=True)
class Policy(PerExample):
    """Gaussian policy. x: [..., observations]; outputs: `metasgd.gaussian` parameters [..., 2 * actions].

    The mean's last layer starts small, so that the first policy goes nowhere in particular, and the
    first layer's biases spread out, so that its ReLUs bend all over the observations.
    """

    settings: PolicySettings
    mean: Mlp

    def initial(self, generator: torch.Generator) -> Parameters:
        theta = self.mean.initial(generator)
        first, last = "linear0.bias", f"linear{len(self.mean.hidden)}.weight"
        theta[first] = (2 * torch.rand(theta[first].shape, generator=generator) - 1) / math.sqrt(
            self.mean.inputs
        )
        theta[last] = 0.1 * theta[last]
        return {**theta, "log_std": torch.full((self.mean.outputs,), math.log(self.settings.std))}

    def __call__(self, theta: Parameters, x: Tensor, context: Parameters | None = None) -> Tensor:
        mean = self.mean(theta, x.flatten(0, -2)).view(*x.shape[:-1], -1)
        log_std = theta["log_std"].clamp(min=math.log(self.settings.least_std))
        return torch.cat([mean, log_std.expand_as(mean)], dim=-1)
