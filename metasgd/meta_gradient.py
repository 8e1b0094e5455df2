"""The meta-gradient of Algorithm 1: how the loss after adapting depends on (theta, alpha).

`meta_gradient` differentiates through `Learner.adapt`, as the equation reads. `adjoint` is the same written
out: the query gradient at the adapted theta, then back over the inner steps, each of which adds one
Hessian-vector product. Nothing in it is differentiated twice by the library, so no graph of a gradient is
kept, and in the first step, where all tasks share theta, their products are one. Compiled it is the faster of
the two; eagerly its many small transforms cost more than they save.
"""

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, jvp, vjp, vmap

from metasgd.adaptation import GradientLearner, inner_step
from metasgd.learner import Learner, Meta
from metasgd.tasks import Batch, Examples
from metasgd.trees import Parameters, add, divide, sum_over_tasks

MetaGradient = Callable[[Meta, Batch], tuple[Meta, Tensor]]


def meta_gradient(learner: Learner) -> MetaGradient:
    """(theta, alpha), batch -> the meta-objective's gradient and value: equation 5, as means over tasks."""

    def meta_loss(meta: Meta, batch: Batch) -> Tensor:
        def one(task: Batch) -> Tensor:
            return learner.query_loss(learner.adapt(meta, task.support, learner.settings.steps), task)

        return vmap(one)(batch).mean()

    gradient: MetaGradient = grad_and_value(meta_loss)
    return gradient


def compilable(learner: Learner) -> MetaGradient:
    """The same as `meta_gradient`, in the form that is fastest where compiled."""
    return adjoint(learner) if isinstance(learner, GradientLearner) else meta_gradient(learner)


def adjoint(learner: GradientLearner) -> MetaGradient:
    """The same as `meta_gradient`, to be compiled."""
    _load_forward_mode()

    def gradient(meta: Meta, batch: Batch) -> tuple[Meta, Tensor]:
        # Not `batch.support`: torch 2.6 cannot compile a property of a named tuple.
        support, count = Examples(batch.support_x, batch.support_y), learner.settings.steps
        steps = vmap(lambda task: list(learner.inner_steps(meta, task, count)))(support)
        start = learner.spread(meta)
        thetas = [start.theta, *(theta for _, theta in steps)]
        by_theta, losses = _query_gradient(learner, thetas[-1], batch, shared=not steps)
        by_alpha = {name: torch.zeros_like(value) for name, value in start.alpha.items()}
        for number in reversed(range(len(steps))):
            shared = number == 0  # all tasks start at the same theta
            vjps = vmap(_inner_step_vjp, in_dims=(None, None if shared else 0, 0, 0))
            by_theta, step_by_alpha, by_gradient = vjps(
                start.alpha, thetas[number], steps[number][0], by_theta
            )
            if shared:
                by_theta = sum_over_tasks(by_theta)
            by_alpha = add(by_alpha, sum_over_tasks(step_by_alpha))
            if learner.settings.order == "second":
                product = _hessian_product(learner, thetas[number], by_gradient, support, shared)
                by_theta = add(by_theta, product)
        total = learner.gather(Meta(by_theta, by_alpha))
        return mean_over_tasks(total, len(support.x)), losses.mean()

    return gradient


def _query_gradient(
    learner: GradientLearner, theta: Parameters, batch: Batch, shared: bool
) -> tuple[Parameters, Tensor]:
    """Derivatives of every task's query loss by its theta, and the losses [tasks].

    shared: whether all tasks have the same theta; then the derivatives are summed.
    """

    def loss(theta: Parameters, task: Batch) -> Tensor:
        support = Examples(task.support_x, task.support_y)
        return learner.query_loss(learner.adapted(theta, support), task)

    in_dims = (None if shared else 0, 0)
    derivatives, losses = vmap(grad_and_value(loss), in_dims=in_dims)(theta, batch)
    return sum_over_tasks(derivatives) if shared else derivatives, losses


def _inner_step_vjp(
    alpha: Parameters, theta: Parameters, gradients: Parameters, cotangent: Parameters
) -> tuple[Parameters, Parameters, Parameters]:
    """The loss's derivatives by theta before an inner step, by alpha and by the inner gradient.

    cotangent: its derivative by theta after the step.
    """
    before: tuple[Parameters, Parameters, Parameters] = vjp(inner_step, theta, alpha, gradients)[1](cotangent)
    return before


def _hessian_product(
    learner: GradientLearner, theta: Parameters, tangent: Parameters, support: Examples, shared: bool
) -> Parameters:
    """Every task's support Hessian at theta, times its tangent; summed over tasks where theta is shared.

    Reverse mode over forward mode: the gradient of the directional derivatives.
    """

    def directional(theta: Parameters, tangent: Parameters, support: Examples) -> Tensor:
        moved = {name: theta[name] for name in tangent}
        along: Tensor = jvp(lambda at: learner.loss_of_moved(at, theta, support), (moved,), (tangent,))[1]
        return along

    derivatives = vmap(directional, in_dims=(None if shared else 0, 0, 0))
    product: Parameters = grad(lambda at: derivatives(at, tangent, support).sum())(theta)
    return product


@cache
def _load_forward_mode() -> None:
    """The first use of forward mode makes torch call what it deprecates itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        jvp(torch.sin, (torch.zeros(()),), (torch.zeros(()),))


def mean_over_tasks(total: Meta, count: int) -> Meta:
    return Meta(divide(total.theta, count), divide(total.alpha, count))
