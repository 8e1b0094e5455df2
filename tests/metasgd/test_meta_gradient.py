"""The meta-gradient, as the equation and as its adjoint, against plain autograd and finite differences."""

from collections.abc import Callable

import pytest
import torch

from metasgd.learner import Learner, Meta
from metasgd.meta_gradient import MetaGradient, adjoint, meta_gradient
from metasgd.tasks import Batch, Examples
from tests.metasgd.oracle import HALVINGS, by_autograd, close, pictures_learner
from tests.metasgd.small import (
    as_double,
    curves,
    double,
    sine_learner,
    start,
)

BOTH = pytest.mark.parametrize("method", [meta_gradient, adjoint])


@BOTH
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("alpha", ["per-parameter", "scalar", "fixed"])
def test_meta_gradient_equals_plain_autograd(
    alpha: str, steps: int, method: Callable[[Learner], MetaGradient]
) -> None:
    """Second order is create_graph=True, first order create_graph=False; and the two differ in theta."""
    meta, batch = as_double(start(sine_learner(alpha))), double(curves(4))
    found = {}
    for order in ("second", "first"):
        learner = sine_learner(alpha, order=order, steps=steps)
        found[order], _ = method(learner)(meta, batch)
        close(found[order], by_autograd(learner, meta, batch, create_graph=order == "second"), 1e-10)
    name = "linear0.weight"
    assert not torch.allclose(found["second"].theta[name], found["first"].theta[name], rtol=1e-3)


@BOTH
@HALVINGS
def test_meta_gradient_of_pictures_equals_plain_autograd(
    halving: str, method: Callable[[Learner], MetaGradient]
) -> None:
    """So through convolution, batch norm, pooling and cross-entropy, whose second derivatives count."""
    learner, batch = pictures_learner(halving)
    meta = as_double(start(learner))
    gradients, _ = method(learner)(meta, batch)
    close(gradients, by_autograd(learner, meta, batch, create_graph=True), 1e-9)


def test_the_adjoint_of_no_step_is_the_gradient() -> None:
    """Where nothing adapts, all tasks are one."""
    learner, batch = sine_learner("none"), double(curves(4))
    meta = as_double(start(learner))
    (found, found_loss), (expected, loss) = (
        method(learner)(meta, batch) for method in (adjoint, meta_gradient)
    )
    close(found, expected, 1e-12)
    torch.testing.assert_close(found_loss, loss)


def test_meta_gradient_equals_finite_differences() -> None:
    """The gradient of the meta-objective is the slope of the loss after the step, for theta and alpha."""
    learner = sine_learner(start=(0.05, 0.05))
    meta, batch = as_double(start(learner)), double(curves(3))
    gradients, _ = meta_gradient(learner)(meta, batch)

    def loss(moved: Meta) -> float:
        tasks = zip(*batch, strict=True)
        adapted = [(learner.adapt(moved, Examples(task[0], task[1])), Batch(*task)) for task in tasks]
        return sum(float(learner.query_loss(*pair)) for pair in adapted) / 3

    step = 1e-6
    for part in (0, 1):
        for name, value in meta[part].items():
            for index in (0, value.numel() - 1):
                slope = 0.0
                for sign in (1, -1):
                    nudged = value.clone()
                    nudged.view(-1)[index] += sign * step
                    parts = [dict(meta.theta), dict(meta.alpha)]
                    parts[part][name] = nudged
                    slope += sign * loss(Meta(*parts)) / (2 * step)
                assert float(gradients[part][name].flatten()[index]) == pytest.approx(
                    slope, rel=1e-5, abs=1e-7
                )
