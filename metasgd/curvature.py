"""Meta-Curvature (Park and Oliva 2019): alpha is a product of small matrices for each layer.

A layer's gradient, as a tensor [taps, inputs, outputs], is multiplied by a matrix along each of its sides,
which mixes what lies along it. Without mixing, that is a rate per entry: a Meta-SGD whose alpha is an outer
product. Biases, scales and shifts have a rate per entry. Outputs of the classifier, which are classes, are
never mixed.
"""

import torch
from torch import Tensor

from metasgd.heads import HEAD
from metasgd.trees import Parameters

TAPS = 9  # of a 3x3 convolution, whose weight is [taps * inputs, outputs]
SIDES = ("taps", "inputs", "outputs")


def matrices(theta: Parameters, rate: Tensor) -> Parameters:
    """alpha by which a step is that of one rate: in a layer's first matrix; the others are the identity."""
    alpha: Parameters = {}
    for name, value in theta.items():
        if value.ndim < 2:
            alpha[name] = rate.expand_as(value).clone()
            continue
        sizes = dict(zip(SIDES, _shape(name, value), strict=True))
        mixed = [side for side in SIDES if sizes[side] > 1 and not (side == "outputs" and name in HEAD)]
        for side in mixed:
            alpha[f"{name}/{side}"] = torch.eye(sizes[side]) * (rate if side == mixed[0] else 1.0)
    return alpha


def bent(alpha: Parameters, name: str, gradient: Tensor) -> Tensor:
    """What theta's entry moves by, for its gradient."""
    if name in alpha:
        return alpha[name] * gradient
    cube = gradient.view(_shape(name, gradient))
    for side, matrix in enumerate(alpha.get(f"{name}/{side}") for side in SIDES):
        if matrix is not None:
            cube = torch.tensordot(matrix, cube.movedim(side, 0), dims=1).movedim(0, side)
    return cube.reshape(gradient.shape)


def _shape(name: str, value: Tensor) -> tuple[int, int, int]:
    """taps, inputs, outputs."""
    taps = TAPS if name.startswith("conv") else 1
    return taps, value.shape[0] // taps, value.shape[1]
