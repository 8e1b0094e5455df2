"""Trust-region policy optimisation (Schulman et al. 2015) on one flat vector of parameters."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


def conjugate_gradient(
    product: Product, b: Tensor, iterations: int, tolerance: float = 1e-10
) -> tuple[Tensor, Tensor]:
    """x with product(x) = b, where product multiplies by a symmetric positive definite matrix.

    Returns x and product(x), which is b only as far as the iterations got.
    """
    x = torch.zeros_like(b)
    residual, direction = b.clone(), b.clone()
    norm = residual @ residual
    for _ in range(iterations):
        if norm < tolerance:
            break
        image = product(direction)
        length = norm / (direction @ image)
        x = x + length * direction
        residual = residual - length * image
        following = residual @ residual
        direction = residual + following / norm * direction
        norm = following
    return x, b - residual


def jacobian(function: Product, x: Tensor) -> tuple[Tensor, Product, Product]:
    """function(x), and products with its Jacobian J there: the JVP v -> J v, and the VJP u -> J^T u.

    J^T u is linear in u, so its derivative by u is J (Townsend 2017): one graph serves both.
    """
    with torch.enable_grad():
        value = function(x)
        cotangent = torch.zeros_like(value, requires_grad=True)
        (pullback,) = torch.autograd.grad(value, x, cotangent, create_graph=True)

    def jvp(tangent: Tensor) -> Tensor:
        return torch.autograd.grad(pullback, cotangent, tangent, retain_graph=True)[0]

    def vjp(cotangent: Tensor) -> Tensor:
        return torch.autograd.grad(value, x, cotangent, retain_graph=True)[0]

    return value.detach(), jvp, vjp


def natural_step(product: Product, gradient: Tensor, max_kl: float, iterations: int) -> Tensor:
    """The step down the gradient, in the metric of `product`, whose length is the KL constraint.

    Half of step^T product(step) is the KL divergence to second order.
    """
    direction, image = conjugate_gradient(product, -gradient, iterations)
    squared = direction @ image
    return direction * torch.sqrt(2 * max_kl / squared.clamp(min=1e-20))


class LineSearch(NamedTuple):
    """step: the accepted step, or zero; trials: how many were tried; the loss and the KL divergence there."""

    step: Tensor
    accepted: bool
    trials: int
    loss: float
    kl: float


def line_search(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    step: Tensor,
    loss: float,
    max_kl: float,
    backtracks: int,
    backtrack_ratio: float,
) -> LineSearch:
    """The longest of step, backtrack_ratio * step, ... that lowers the loss within the KL constraint.

    evaluate: step -> loss and KL divergence there. loss: the one to beat.
    """
    for trial in range(backtracks):
        found_loss, found_kl = (float(value) for value in evaluate(step))
        if found_loss < loss and found_kl <= max_kl:
            return LineSearch(step, True, trial + 1, found_loss, found_kl)
        step = backtrack_ratio * step
    return LineSearch(torch.zeros_like(step), False, backtracks, loss, 0.0)
