"""The LSTM that makes inner steps: by hand, and where its gates are fixed."""

import math

import pytest
import torch
from torch import Tensor
from torch.func import grad

from metasgd.configuration import MlpSettings
from metasgd.learner import Adapted, Meta
from metasgd.learner_settings import MetaLstmSettings
from metasgd.learners import build_learner
from metasgd.meta_gradient import meta_gradient
from metasgd.meta_lstm import Cell, MetaLstmLearner, preprocessed, step
from metasgd.tasks import Batch
from tests.metasgd.agreeing import compiled_agrees, learns_and_repeats, slopes_agree
from tests.metasgd.small import LINE, as_double, curves, double, sinusoid, start, training_settings


def lstm_learner(hidden: int = 3, steps: int = 2, layers: tuple[int, ...] = (4,)) -> MetaLstmLearner:
    settings = MetaLstmSettings("meta-lstm", hidden, steps, steps)
    learner = build_learner(LINE, MlpSettings("mlp", layers), settings)
    assert isinstance(learner, MetaLstmLearner)
    return learner


def fixed_gates(meta: Meta, take: float) -> Meta:
    """Forget nothing; take this share of the gradient, whatever is seen."""
    theta = dict(meta.theta)
    for name in ("forget", "take"):
        theta[f"{name}.weight"] = torch.zeros_like(theta[f"{name}.weight"])
    theta["forget.bias"] = torch.full_like(theta["forget.bias"], 50.0)
    theta["take.bias"] = torch.full_like(theta["take.bias"], math.log(take / (1 - take)))
    return Meta(theta, {})


def test_with_fixed_gates_it_is_gradient_descent() -> None:
    learner, batch = lstm_learner(steps=3), double(curves(1))
    task = batch.support._replace(x=batch.support_x[0], y=batch.support_y[0])
    meta = fixed_gates(as_double(start(learner)), take=0.05)
    theta = {name: value for name, value in meta.theta.items() if name.startswith("linear")}
    for _ in range(3):
        slopes = grad(learner.support_loss)(theta, task)
        theta = {name: value - 0.05 * slopes[name] for name, value in theta.items()}
    adapted = learner.adapt(meta, task, steps=3)
    for name, value in theta.items():
        torch.testing.assert_close(adapted.theta[name], value)


def test_preprocessing_by_hand() -> None:
    """Large numbers: log of the size by p = 10, and the sign. Small ones: -1, and the number times e^10."""
    found = preprocessed(torch.tensor([math.e**2, -1.0, 0.0, 1e-5], dtype=torch.float64))
    expected = [[0.2, 1.0], [0.0, -1.0], [-1.0, 0.0], [-1.0, 1e-5 * math.exp(10)]]
    torch.testing.assert_close(found.mT, torch.tensor(expected, dtype=torch.float64))


def test_a_step_by_hand() -> None:
    """One parameter, and an LSTM whose weights are all 0: its state stays 0, and the gates see theta."""

    def one(value: float) -> Tensor:
        return torch.tensor([value], dtype=torch.float64)

    def nothing(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    rule = {
        "lstm.input": nothing(4, 4),
        "lstm.hidden": nothing(4, 1),
        "lstm.bias": nothing(4),
        "forget.weight": torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64),  # of hidden, theta, gate before
        "forget.bias": one(0.5),
        "take.weight": torch.tensor([0.0, -1.0, 4.0], dtype=torch.float64),
        "take.bias": one(0.0),
    }
    cell = Cell(one(2.0), one(0.25), one(0.5), nothing(1, 1), nothing(1, 1))
    found = step(rule, cell, gradients=one(3.0), loss=one(1.0)[0])
    forget, take = 1 / (1 + math.exp(-(2.0 + 0.5 + 0.5))), 1 / (1 + math.exp(-(-2.0 + 2.0)))
    assert float(found.forget) == pytest.approx(forget)
    assert float(found.take) == pytest.approx(take)
    assert float(found.theta) == pytest.approx(forget * 2.0 - take * 3.0)


def test_the_lstm_remembers_by_hand() -> None:
    """Gates of 1/2 and a candidate of tanh 1: memory 1/2 tanh 1, then half of that and as much again."""
    zeros = torch.zeros(1, 1)
    rule = {
        "lstm.input": torch.zeros(4, 4),
        "lstm.hidden": torch.zeros(4, 1),
        "lstm.bias": torch.tensor([0.0, 0.0, 0.0, 1.0]),
        "forget.weight": torch.zeros(3),
        "forget.bias": torch.zeros(1),
        "take.weight": torch.zeros(3),
        "take.bias": torch.zeros(1),
    }
    number = torch.ones(1)
    first = step(rule, Cell(number, number, number, zeros, zeros), number, number[0])
    second = step(rule, first, number, number[0])
    assert float(first.memory) == pytest.approx(math.tanh(1) / 2)
    assert float(second.memory) == pytest.approx(math.tanh(1) * 3 / 4)
    assert float(second.hidden) == pytest.approx(math.tanh(float(second.memory)) / 2)


def test_it_starts_where_it_stays() -> None:
    """Gates near 1 and 0: before meta-training, a step changes theta little."""
    learner, batch = lstm_learner(hidden=20, steps=1), curves(1)
    task = batch.support._replace(x=batch.support_x[0], y=batch.support_y[0])
    meta = start(learner)
    adapted = learner.adapt(meta, task)
    rule = set(meta.theta) - set(adapted.theta)
    assert {name.partition(".")[0] for name in rule} == {"lstm", "forget", "take"}
    for name, value in adapted.theta.items():
        before = meta.theta[name]
        slopes = grad(learner.support_loss)({key: meta.theta[key] for key in adapted.theta}, task)[name]
        most = (1 - 1 / (1 + math.exp(-3.9))) * before.abs() + slopes.abs() / (1 + math.exp(3.9))
        assert ((value - before).abs() <= most + 1e-6).all()


def test_gradients_by_the_rule_are_those_of_finite_differences() -> None:
    """Of one step: no inner gradient depends on the rule yet, so that they are constants does not show."""
    learner, batch = lstm_learner(steps=1), double(curves(2))
    names = ("lstm.input", "lstm.bias", "forget.weight", "forget.bias", "take.weight", "take.bias")
    slopes_agree(learner, as_double(start(learner)), batch, names, size=1e-5, rel=1e-3, atol=1e-8)


def test_the_meta_gradient_takes_inner_gradients_as_constants() -> None:
    """theta moves one to one but for the gates: with f = 1 and i = .05, by the query gradient at theta'."""
    learner, batch = lstm_learner(steps=1), double(curves(1))
    meta = fixed_gates(as_double(start(learner)), take=0.05)
    gradients, _ = meta_gradient(learner)(meta, batch)
    task = Batch(*(part[0] for part in batch))
    adapted = learner.adapt(meta, task.support)
    at_adapted = grad(lambda theta: learner.query_loss(Adapted(theta, {}), task))(adapted.theta)
    for name, value in at_adapted.items():
        torch.testing.assert_close(gradients.theta[name], value)


def test_training_learns_and_repeats_bit_for_bit() -> None:
    learner = lstm_learner(hidden=5, steps=3, layers=(8,))
    settings = training_settings(iterations=60, validate_every=30, rate=0.01, clip=0.25)
    learns_and_repeats(learner, sinusoid(), settings, few=10)


def test_compiled_is_the_same_to_rounding() -> None:
    compiled_agrees(lstm_learner(), curves(2), atol=1e-6)
