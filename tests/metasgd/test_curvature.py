"""Meta-Curvature: matrices in place of rates."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from metasgd.adaptation import GradientLearner, inner_step
from metasgd.curvature import bent
from metasgd.evaluation import score
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.meta_gradient import adjoint, meta_gradient
from metasgd.training import meta_train
from tests.metasgd.pictures import episodes, one, tasks
from tests.metasgd.small import (
    as_double,
    convnet_settings,
    double,
    learner_settings,
    same,
    start,
    training_settings,
)


def bending(head: str = "shared", **changes: Any) -> GradientLearner:
    settings = learner_settings("curvature", start=(0.1, 0.1), **changes)
    network = convnet_settings(head=head, normalisation="joint")
    learner = build_learner(Problem("classification", (1, 6, 6), 3), network, settings)
    assert isinstance(learner, GradientLearner)
    return learner


@pytest.mark.parametrize("head", ["shared", "per-class"])
def test_it_starts_as_one_rate(head: str) -> None:
    learner, task = bending(head), double(one(tasks(1)))
    meta = as_double(start(learner))
    gradients, theta = next(learner.inner_steps(meta, task.support, 1))
    before = learner.spread(meta).theta
    for name, gradient in gradients.items():
        torch.testing.assert_close(theta[name], before[name] - 0.1 * gradient, atol=1e-8, rtol=1e-6)


def test_matrices_mix_along_their_sides() -> None:
    """Against the sum that the paper writes: over taps, inputs and outputs."""
    draw = torch.Generator().manual_seed(1)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    alpha = {
        "conv0.weight/taps": numbers(9, 9),
        "conv0.weight/inputs": numbers(2, 2),
        "conv0.weight/outputs": numbers(4, 4),
    }
    gradient = numbers(18, 4)
    expected = torch.einsum("ta,ib,oc,abc->tio", *alpha.values(), gradient.view(9, 2, 4))
    torch.testing.assert_close(bent(alpha, "conv0.weight", gradient), expected.reshape(18, 4))


def test_a_bias_has_a_rate_per_entry() -> None:
    alpha, gradient = {"norm0.shift": torch.tensor([2.0, 3.0])}, torch.tensor([1.0, -1.0])
    moved = inner_step({"norm0.shift": torch.zeros(2)}, alpha, {"norm0.shift": gradient})
    assert moved["norm0.shift"].tolist() == [-2.0, 3.0]


def test_classes_are_not_mixed() -> None:
    assert "classifier.weight/outputs" not in start(bending("per-class")).alpha
    assert "classifier.weight/inputs" in start(bending("per-class")).alpha


@pytest.mark.parametrize("head", ["shared", "per-class"])
@pytest.mark.parametrize("adapts", ["all", "head"])
def test_the_adjoint_is_the_meta_gradient(head: str, adapts: str) -> None:
    learner, batch = bending(head, adapts=adapts), double(tasks(2))
    meta = as_double(start(learner))
    expected, loss = meta_gradient(learner)(meta, batch)
    found, found_loss = adjoint(learner)(meta, batch)
    torch.testing.assert_close(found_loss, loss)
    for part, own in zip(expected, found, strict=True):
        assert part.keys() == own.keys()
        for name, value in part.items():
            torch.testing.assert_close(own[name], value)


def test_training_moves_the_matrices_and_repeats_bit_for_bit() -> None:
    learner, settings = bending("per-class"), training_settings(iterations=12)

    def trained() -> Any:
        return meta_train(learner, episodes(), lambda meta: 0.0, settings, seed=1)

    outcome, began = trained(), start(learner)
    assert all((value != began.alpha[name]).any() for name, value in outcome.meta.alpha.items())
    assert same(outcome.meta, trained().meta)


def test_any_number_of_classes() -> None:
    wide, meta = bending().for_ways(start(bending()), 4)
    batch = tasks(2, ways=4)
    assert score(wide, meta, batch, steps=1).shape == (2, 2)
    outputs = vmap(lambda task: wide.predict(wide.adapt(meta, task.support), task.query_x))(batch)
    assert outputs.shape == (2, 8, 4)
