"""The meta-gradient, as the equation and as its adjoint, against plain autograd and finite differences."""

from collections.abc import Callable

import pytest
import torch

from metasgd.adaptation import Learner, Meta, Problem
from metasgd.meta_gradient import MetaGradient, adjoint, chunk_size, in_pieces, meta_gradient
from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.training import compiled_gradient, eager_gradient, has_compiler
from tests.metasgd.small import (
    as_double,
    convnet_settings,
    curves,
    double,
    learner_settings,
    sine_learner,
    start,
)


def by_autograd(learner: Learner, meta: Meta, batch: Batch, create_graph: bool) -> Meta:
    """The meta-gradient by a plain loop over tasks, with torch.autograd."""
    leaves = Meta(*({k: v.clone().requires_grad_() for k, v in part.items()} for part in meta))
    losses = []
    for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
        theta = leaves.theta
        for _ in range(learner.settings.steps):
            loss = learner.support_loss(theta, support_x, support_y)
            gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=create_graph)
            rates = [leaves.alpha.get("all", leaves.alpha.get(name)) for name in theta]
            theta = {
                name: value - rate * gradient
                for (name, value), rate, gradient in zip(theta.items(), rates, gradients, strict=True)
                if rate is not None
            }
        outputs = learner.predict(theta, query_x, support_x)
        losses.append(learner.objective.loss(outputs, query_y))
    torch.stack(losses).mean().backward()
    return Meta(*({k: v.grad for k, v in part.items() if v.grad is not None} for part in leaves))


def close(one: Meta, other: Meta, tolerance: float) -> None:
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(dict(mine), dict(theirs), rtol=tolerance, atol=tolerance)


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


HALVINGS = pytest.mark.parametrize("halving", ["strides", "pooling"])


def pictures_learner(halving: str, blocks: int = 2) -> tuple[Learner, Batch]:
    """Two classes of small pictures, and three tasks of them."""
    problem = Problem("classification", (1, 6, 6), 2)
    network = convnet_settings(blocks=blocks, halving=halving, transductive=False)
    learner = Learner.build(problem, network, learner_settings(start=(0.4, 0.4)))
    noise = generator(3, "pictures")
    labels = torch.arange(2).repeat_interleave(2).expand(3, -1)
    pictures = [torch.rand((3, 4, 1, 6, 6), generator=noise, dtype=torch.float64) for _ in range(2)]
    return learner, Batch(pictures[0], labels, pictures[1], labels)


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


@HALVINGS
@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler and Python's headers")
def test_the_compiled_meta_gradient_of_pictures(halving: str) -> None:
    """What long trainings run, and what short ones do, give plain autograd's result."""
    learner, batch = pictures_learner(halving, blocks=1)
    meta = as_double(start(learner))
    expected = by_autograd(learner, meta, batch, create_graph=True)
    for strategy in (compiled_gradient, eager_gradient):
        with torch.no_grad():
            close(strategy(learner, 0)(meta, batch)[0], expected, 1e-9)


def test_the_adjoint_of_no_step_is_the_gradient() -> None:
    """Where nothing adapts, all tasks are one."""
    learner, batch = sine_learner("none"), double(curves(4))
    meta = as_double(start(learner))
    (found, found_loss), (expected, loss) = (
        method(learner)(meta, batch) for method in (adjoint, meta_gradient)
    )
    close(found, expected, 1e-12)
    torch.testing.assert_close(found_loss, loss)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
def test_pieces_of_a_meta_batch_have_its_gradient(chunk: int, steps: int) -> None:
    """Means over pieces of equal size are the mean over all, to rounding."""
    learner = sine_learner(steps=steps)
    meta, batch = as_double(start(learner)), double(curves(6))
    gradients, loss = meta_gradient(learner)(meta, batch)
    found, found_loss = in_pieces(meta_gradient(learner), chunk)(meta, batch)
    close(found, gradients, 1e-12)
    torch.testing.assert_close(found_loss, loss)


@pytest.mark.parametrize(
    ("tasks", "examples", "shape", "chunk"),
    [
        (100, 5, (1,), 100),
        (32, 5, (1, 28, 28), 8),
        (18, 5, (1, 28, 28), 6),
        (32, 20, (1, 28, 28), 2),
        (32, 40, (1, 28, 28), 1),
        (4, 40, (3, 84, 84), 1),
    ],
)
def test_pieces_are_chosen_by_shape(tasks: int, examples: int, shape: tuple[int, ...], chunk: int) -> None:
    """The largest divisor of the tasks with at most 65,536 numbers in their examples; one if none has."""
    x, y = torch.empty((tasks, examples, *shape)), torch.empty((tasks, examples))
    assert chunk_size(Batch(x, y, x, y)) == chunk


def test_meta_gradient_equals_finite_differences() -> None:
    """The gradient of the meta-objective is the slope of the loss after the step, for theta and alpha."""
    learner = sine_learner(start=(0.05, 0.05))
    meta, batch = as_double(start(learner)), double(curves(3))
    gradients, _ = meta_gradient(learner)(meta, batch)

    def loss(moved: Meta) -> float:
        tasks = zip(*batch, strict=True)
        adapted = [(learner.adapt(moved, task[0], task[1]), Batch(*task)) for task in tasks]
        return sum(float(learner.query_loss(theta, task)) for theta, task in adapted) / 3

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
