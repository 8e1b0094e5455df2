"""Functional networks: parameters go in as a mapping, nothing is stored in a module.

`network(theta, x)` gives outputs; `network.initial(generator)` draws a first theta. So the same
network runs with the parameters of many tasks at once under `torch.func.vmap`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from metasgd.configuration import ConvNetSettings, MlpSettings, NetworkSettings, PolicySettings
from metasgd.errors import InputError
from metasgd.trees import Parameters

EPSILON = 1e-5  # of batch norm


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
            _require_pixels(settings, min(input_shape[1:]))
            return ConvNet(settings, input_shape, outputs)


def _require_pixels(settings: ConvNetSettings, side: int) -> None:
    if settings.halving == "pooling" and side >> settings.blocks == 0:
        raise InputError(
            f"network.blocks is {settings.blocks}; expected at most {side.bit_length() - 1}, "
            f"as pooling halves pictures of {side} pixels no further"
        )


def _linear(inputs: int, outputs: int, generator: torch.Generator, gain: float = 2.0) -> Tensor:
    """He initialisation: variance gain / inputs. [inputs, outputs], so that a layer is x @ w."""
    deviation = math.sqrt(gain / inputs)
    return torch.randn((inputs, outputs), generator=generator) * deviation


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
            theta[f"linear{layer}.weight"] = _linear(fan_in, fan_out, generator)
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


@dataclass(frozen=True)
class ConvNet:
    """The four-block network of section 5.2. x: [examples, channels, height, width].

    Inside, channels come last. With strides, a convolution is one matrix product over 3x3 patches: with
    per-task weights, `vmap` turns that into one batched product, where a native convolution would become
    a slow grouped one. With pooling, patches would be nine times the picture; there it is a native one,
    task by task.
    """

    settings: ConvNetSettings
    input_shape: tuple[int, ...]
    outputs: int

    @property
    def strided(self) -> bool:
        return self.settings.halving == "strides"

    @property
    def vectorises(self) -> bool:
        return self.strided

    @property
    def shares_head(self) -> bool:
        return self.settings.head == "shared"

    @property
    def served(self) -> "ConvNet":
        return replace(self, settings=replace(self.settings, normalisation="inductive"))

    def initial(self, generator: torch.Generator) -> Parameters:
        channels, height, width = self.input_shape
        filters = self.settings.filters
        theta: Parameters = {}
        for block in range(self.settings.blocks):
            theta[f"conv{block}.weight"] = _linear(9 * channels, filters, generator)
            theta[f"norm{block}.scale"] = torch.ones(filters)
            theta[f"norm{block}.shift"] = torch.zeros(filters)
            channels, height, width = filters, self._halved(height), self._halved(width)
        features = channels * height * width
        if self.settings.extra:
            theta["extra.weight"] = _linear(features, self.settings.extra, generator)
            theta["extra.bias"] = torch.zeros(self.settings.extra)
            features = self.settings.extra
        rows = 1 if self.shares_head else self.outputs
        theta["classifier.weight"] = _linear(features, rows, generator, gain=1.0)
        theta["classifier.bias"] = torch.zeros(rows)
        return theta

    def context(self, theta: Parameters, support_x: Tensor) -> Parameters:
        """ "norm<block>.mean" and ".variance" [filters] of the support pictures, or these as "x"."""
        match self.settings.normalisation:
            case "transductive":
                return {}
            case "inductive":
                return self._forward(theta, support_x, {})[1]
            case "joint":
                return {"x": support_x}

    def __call__(self, theta: Parameters, x: Tensor, context: Parameters | None = None) -> Tensor:
        given = context or {}
        support_x = given.get("x")
        if support_x is None:
            return self._forward(theta, x, given)[0]
        return self._forward(theta, torch.cat([support_x, x]), {})[0][len(support_x) :]

    def _forward(self, theta: Parameters, x: Tensor, given: Parameters) -> tuple[Tensor, Parameters]:
        """Outputs, and the statistics that normalised them: those given, or else those of x."""
        used: Parameters = {}
        x = x.permute(0, 2, 3, 1)
        for block in range(self.settings.blocks):
            # No bias: batch norm takes the mean away right after.
            x = self._convolved(x, theta[f"conv{block}.weight"])
            norm = f"norm{block}"
            mean = used[f"{norm}.mean"] = given[f"{norm}.mean"] if given else _mean(x)
            x = x - _broadcast(mean, x)
            variance = used[f"{norm}.variance"] = given[f"{norm}.variance"] if given else _mean(x.square())
            factor = theta[f"{norm}.scale"] * torch.rsqrt(variance + EPSILON)
            x = (x * _broadcast(factor, x) + _broadcast(theta[f"{norm}.shift"], x)).relu()
            x = x if self.strided else _max_pool(x)
        x = x.flatten(1)
        if self.settings.extra:
            x = (x @ theta["extra.weight"] + theta["extra.bias"]).relu()
        return x @ theta["classifier.weight"] + theta["classifier.bias"], used

    def _convolved(self, x: Tensor, weight: Tensor) -> Tensor:
        """3x3 convolution of [n, h, w, c] with zero padding. weight: [9 c, filters]."""
        if self.strided:
            return _patches(x) @ weight
        kernel = weight.view(3, 3, -1, weight.shape[1]).permute(3, 2, 0, 1)
        return F.conv2d(x.permute(0, 3, 1, 2), kernel, padding=1).permute(0, 2, 3, 1)

    def _halved(self, side: int) -> int:
        return (side + 1) // 2 if self.strided else side // 2


def _patches(x: Tensor) -> Tensor:
    """3x3 neighbourhoods of every second position: [n, h, w, c] -> [n, ceil(h/2), ceil(w/2), 9 c].

    Made of shifted copies only: the adjoint of a shift is a shift, and of a sliced tensor a slow scatter.
    """
    return torch.cat([column for row in _neighbours(x, 1) for column in _neighbours(row, 2)], dim=-1)


def _neighbours(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """What lies before, at and after every second position along a dimension."""
    if x.shape[dim] % 2:
        x = F.pad(x, [0, 0] * (x.ndim - 1 - dim) + [0, 1])
    even, odd = x.reshape(*x.shape[:dim], -1, 2, *x.shape[dim + 1 :]).unbind(dim + 1)
    return _shifted(odd, dim, 1), even, odd


def _shifted(x: Tensor, dim: int, by: int) -> Tensor:
    """Moved along a dimension; zeros move in."""
    return F.pad(x, [0, 0] * (x.ndim - 1 - dim) + [by, -by])


# Means go over each example first, and broadcasts, whose adjoints are sums, over the examples first: so every
# sum has rows that fit a cache and can be shared out among cores.


def _mean(x: Tensor) -> Tensor:
    """Of every channel: [n, h, w, c] -> [c]."""
    return x.mean(dim=(1, 2)).mean(dim=0)


def _broadcast(value: Tensor, x: Tensor) -> Tensor:
    """[c] -> [n, 1, 1, c]."""
    return value.expand(len(x), -1)[:, None, None]


def _max_pool(x: Tensor) -> Tensor:
    """2x2 max-pool of [n, h, w, c]; an odd last row or column is dropped."""
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2]
    return x.reshape(n, h // 2, 2, w // 2, 2, c).amax(dim=(2, 4))
