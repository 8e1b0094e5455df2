"""The four-block network of section 5.2: what makes features of pictures, and the classifier upon it."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from metasgd.configuration import ConvNetSettings
from metasgd.errors import InputError
from metasgd.initialisation import he_normal
from metasgd.trees import Parameters

EPSILON = 1e-5  # of batch norm


@dataclass(frozen=True)
class ConvBody:
    """Features of pictures. x: [examples, channels, height, width].

    Inside, channels come last. With strides, a convolution is one matrix product over 3x3 patches: with
    per-task weights, `vmap` turns that into one batched product, where a native convolution would become
    a slow grouped one. With pooling, patches would be nine times the picture; there it is a native one,
    task by task.
    """

    settings: ConvNetSettings
    input_shape: tuple[int, ...]
    shares_head: ClassVar[bool] = False

    @classmethod
    def of(cls, settings: ConvNetSettings, input_shape: tuple[int, ...]) -> Self:
        """Raises InputError where pooling would leave nothing of a picture."""
        side = min(input_shape[1:])
        if settings.halving == "pooling" and side >> settings.blocks == 0:
            raise InputError(
                f"network.blocks is {settings.blocks}; expected at most {side.bit_length() - 1}, "
                f"as pooling halves pictures of {side} pixels no further"
            )
        return cls(settings, input_shape)

    @property
    def vectorises(self) -> bool:
        return self._strided

    @property
    def served(self) -> Self:
        return replace(self, settings=replace(self.settings, normalisation="inductive"))

    @property
    def features(self) -> int:
        """How many a picture has."""
        if self.settings.extra:
            return self.settings.extra
        _, height, width = self.input_shape
        for _ in range(self.settings.blocks):
            height, width = self._halved(height), self._halved(width)
        return self.settings.filters * height * width

    def initial(self, generator: torch.Generator) -> Parameters:
        channels, filters = self.input_shape[0], self.settings.filters
        theta: Parameters = {}
        for block in range(self.settings.blocks):
            theta[f"conv{block}.weight"] = he_normal(9 * channels, filters, generator)
            theta[f"norm{block}.scale"] = torch.ones(filters)
            theta[f"norm{block}.shift"] = torch.zeros(filters)
            channels = filters
        if extra := self.settings.extra:
            flat = replace(self, settings=replace(self.settings, extra=0)).features
            theta["extra.weight"] = he_normal(flat, extra, generator)
            theta["extra.bias"] = torch.zeros(extra)
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
        """Features [examples, features], normalised by what of `context` is statistics, else by x's own."""
        return self._forward(theta, x, context or {})[0]

    def _forward(self, theta: Parameters, x: Tensor, given: Parameters) -> tuple[Tensor, Parameters]:
        """Features, and the statistics that normalised them: those given, or else those of x."""
        used: Parameters = {}
        x = x.permute(0, 2, 3, 1)
        for block in range(self.settings.blocks):
            # No bias: batch norm takes the mean away right after.
            x = self._convolved(x, theta[f"conv{block}.weight"])
            mean_name, variance_name = f"norm{block}.mean", f"norm{block}.variance"
            mean = used[mean_name] = given[mean_name] if mean_name in given else _mean(x)
            x = x - _broadcast(mean, x)
            variance = given[variance_name] if variance_name in given else _mean(x.square())
            used[variance_name] = variance
            factor = theta[f"norm{block}.scale"] * torch.rsqrt(variance + EPSILON)
            x = (x * _broadcast(factor, x) + _broadcast(theta[f"norm{block}.shift"], x)).relu()
            x = x if self._strided else _max_pool(x)
        x = x.flatten(1)
        if self.settings.extra:
            x = (x @ theta["extra.weight"] + theta["extra.bias"]).relu()
        return x, used

    @property
    def _strided(self) -> bool:
        return self.settings.halving == "strides"

    def _convolved(self, x: Tensor, weight: Tensor) -> Tensor:
        """3x3 convolution of [n, h, w, c] with zero padding. weight: [9 c, filters]."""
        if self._strided:
            return _patches(x) @ weight
        kernel = weight.view(3, 3, -1, weight.shape[1]).permute(3, 2, 0, 1)
        return F.conv2d(x.permute(0, 3, 1, 2), kernel, padding=1).permute(0, 2, 3, 1)

    def _halved(self, side: int) -> int:
        return (side + 1) // 2 if self._strided else side // 2


@dataclass(frozen=True)
class ConvNet:
    """A linear classifier of the body's features. Implements `metasgd.networks.Network`."""

    body: ConvBody
    outputs: int

    @property
    def vectorises(self) -> bool:
        return self.body.vectorises

    @property
    def shares_head(self) -> bool:
        return self.body.settings.head == "shared"

    @property
    def served(self) -> Self:
        return replace(self, body=self.body.served)

    def initial(self, generator: torch.Generator) -> Parameters:
        theta = self.body.initial(generator)
        rows = 1 if self.shares_head else self.outputs
        theta["classifier.weight"] = he_normal(self.body.features, rows, generator, gain=1.0)
        theta["classifier.bias"] = torch.zeros(rows)
        return theta

    def context(self, theta: Parameters, support_x: Tensor) -> Parameters:
        return self.body.context(theta, support_x)

    def __call__(self, theta: Parameters, x: Tensor, context: Parameters | None = None) -> Tensor:
        support_x = (context or {}).get("x")
        if support_x is None:
            return self._classified(theta, self.body(theta, x, context))
        return self._classified(theta, self.body(theta, torch.cat([support_x, x])))[len(support_x) :]

    def _classified(self, theta: Parameters, features: Tensor) -> Tensor:
        return features @ theta["classifier.weight"] + theta["classifier.bias"]


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
