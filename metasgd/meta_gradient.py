"""The meta-gradient of Algorithm 1: how the loss after adapting depends on (theta, alpha).

`meta_gradient` differentiates through `Learner.adapt`, as the equation reads. `adjoint` is the same written
out: the query gradient at the adapted theta, then back over the inner steps, each of which adds one
Hessian-vector product. Nothing in it is differentiated twice by the library, so no graph of a gradient is
kept, and in the first step, where all tasks share theta, their products are one. Compiled it is the faster of
the two; eagerly its many small transforms cost more than they save.
"""

import warnings
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, jvp, vjp, vmap

from metasgd.adaptation import Learner, Meta, inner_step
from metasgd.networks import Parameters
from metasgd.tasks import Batch

MetaGradient = Callable[[Meta, Batch], tuple[Meta, Tensor]]


def meta_gradient(learner: Learner) -> MetaGradient:
    """(theta, alpha), batch -> the meta-objective's gradient and value: equation 5, as means over tasks."""

    def meta_loss(meta: Meta, batch: Batch) -> Tensor:
        def one(task: Batch) -> Tensor:
            theta = learner.adapt(meta, task.support_x, task.support_y, learner.settings.steps)
            return learner.query_loss(theta, task)

        return vmap(one)(batch).mean()

    gradient: MetaGradient = grad_and_value(meta_loss)
    return gradient


def adjoint(learner: Learner) -> MetaGradient:
    """The same as `meta_gradient`, to be compiled."""
    _load_forward_mode()

    def gradient(meta: Meta, batch: Batch) -> tuple[Meta, Tensor]:
        x, y = batch.support_x, batch.support_y
        steps = vmap(lambda x, y: list(learner.descent(meta, x, y, learner.settings.steps)))(x, y)
        thetas = [meta.theta, *(theta for _, theta in steps)]
        push, losses = _query(learner, thetas[-1], batch, shared=not steps)
        toward_alpha = {name: torch.zeros_like(value) for name, value in meta.alpha.items()}
        for number in reversed(range(len(steps))):
            shared = number == 0  # all tasks start at the same theta
            pull = vmap(partial(_pull, meta.alpha), in_dims=(None if shared else 0, 0, 0))
            push, pushed_alpha, direction = pull(thetas[number], steps[number][0], push)
            if shared:
                push = _summed(push)
            toward_alpha = plus(toward_alpha, _summed(pushed_alpha))
            if learner.settings.order == "second":
                push = plus(push, _hessian_product(learner, thetas[number], direction, x, y, shared))
        return divided(Meta(push, toward_alpha), len(x)), losses.mean()

    return gradient


def _query(learner: Learner, theta: Parameters, batch: Batch, shared: bool) -> tuple[Parameters, Tensor]:
    """Derivatives of every task's query loss by its theta, and the losses [tasks].

    shared: whether all tasks have the same theta; then the derivatives are summed.
    """
    in_dims = (None if shared else 0, 0)
    derivatives, losses = vmap(grad_and_value(learner.query_loss), in_dims=in_dims)(theta, batch)
    return _summed(derivatives) if shared else derivatives, losses


def _pull(
    alpha: Parameters, theta: Parameters, slope: Parameters, push: Parameters
) -> tuple[Parameters, Parameters, Parameters]:
    """The adjoint of one inner step: the loss's derivatives by what it was made of.

    push: its derivative by theta after the step; the results by theta before, by alpha and by the slope.
    """
    pull = vjp(inner_step, theta, alpha, slope)[1]
    before: tuple[Parameters, Parameters, Parameters] = pull(push)
    return before


def _hessian_product(
    learner: Learner, theta: Parameters, direction: Parameters, x: Tensor, y: Tensor, shared: bool
) -> Parameters:
    """Every task's support Hessian at theta, times its direction; summed over tasks where theta is shared.

    Reverse mode over forward mode: the derivative of the slopes along the directions.
    """

    def slope(theta: Parameters, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        along: Tensor = jvp(lambda at: learner.support_loss(at, x, y), (theta,), (direction,))[1]
        return along

    slopes = vmap(slope, in_dims=(None if shared else 0, 0, 0, 0))
    product: Parameters = grad(lambda at: slopes(at, direction, x, y).sum())(theta)
    return product


@cache
def _load_forward_mode() -> None:
    """The first use of forward mode makes torch call what it deprecates itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        jvp(torch.sin, (torch.zeros(()),), (torch.zeros(()),))


def plus(one: Parameters, other: Parameters) -> Parameters:
    return {name: value + other[name] for name, value in one.items()}


def _summed(parameters: Parameters) -> Parameters:
    return {name: value.sum(0) for name, value in parameters.items()}


def divided(meta: Meta, count: int) -> Meta:
    return Meta(*({name: value / count for name, value in part.items()} for part in meta))
