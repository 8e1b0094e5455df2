"""The inner step and the meta-gradient, by numbers computed by hand.

The hand-computed task is the line y = w x + b at w = 2, b = 1, with support points (1, 1) and (2, 1)
and the query point (3, 0): residuals 2 and 4, so dL/dw = (2·2·1 + 2·4·2) / 2 = 10 and
dL/db = (2·2 + 2·4) / 2 = 6; the support loss's Hessian is [[5, 3], [3, 2]].
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from metasgd.adaptation import inner_step
from metasgd.errors import InputError
from metasgd.learner import Meta
from metasgd.meta_gradient import meta_gradient
from metasgd.tasks import Batch, Examples
from metasgd.training import meta_train
from tests.metasgd.small import (
    ALPHAS,
    curves,
    same,
    sine_learner,
    sinusoid,
    start,
    training_settings,
)

WEIGHT, BIAS = "linear0.weight", "linear0.bias"


def line(weight: float, bias: float) -> dict[str, Tensor]:
    return {
        WEIGHT: torch.tensor([[weight]], dtype=torch.float64),
        BIAS: torch.tensor([bias], dtype=torch.float64),
    }


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(-1)


SUPPORT = Examples(column(1, 2), column(1, 1))
TASK = Batch(*(x.unsqueeze(0) for x in (*SUPPORT, column(3), column(0))))
SCALAR = {"all": torch.tensor(0.1, dtype=torch.float64)}


def numbers(part: dict[str, Tensor]) -> list[float]:
    """[w, b] of a line, or the one shared rate."""
    return [float(value) for value in part.values()]


@pytest.mark.parametrize(
    ("alpha", "values", "expected"),
    [
        ("per-parameter", line(0.1, 0.5), [1.0, -2.0]),  # 2 - .1·10, 1 - .5·6
        ("scalar", SCALAR, [1.0, 0.4]),  # 2 - .1·10, 1 - .1·6
        ("fixed", SCALAR, [1.0, 0.4]),
        ("per-parameter", line(-0.1, 0.0), [3.0, 1.0]),  # a negative rate climbs, rate 0 stands still
        ("none", {}, [2.0, 1.0]),
    ],
)
def test_one_step_by_hand(alpha: str, values: dict[str, Tensor], expected: list[float]) -> None:
    """theta' = theta - alpha * gradient of the mean squared error, element by element."""
    meta = Meta(line(2, 1), values)
    adapted = sine_learner(alpha, hidden=()).adapt(meta, SUPPORT)
    assert numbers(adapted.theta) == pytest.approx(expected, abs=1e-12)
    assert numbers(meta.theta) == [2.0, 1.0], "adapting leaves the start as it was"


def test_negative_rate_raises_the_support_loss() -> None:
    """alpha decides the direction too: a negative one climbs the support loss, a positive one descends."""
    learner = sine_learner(hidden=())
    before = float(learner.support_loss(line(2, 1), SUPPORT))
    after = {
        rate: float(
            learner.support_loss(learner.adapt(Meta(line(2, 1), line(rate, rate)), SUPPORT).theta, SUPPORT)
        )
        for rate in (-0.05, 0.05)
    }
    assert before == pytest.approx(10)
    assert after[0.05] < before < after[-0.05]


def test_inner_step_is_elementwise() -> None:
    """Every element of theta has a rate of its own."""
    theta = {"w": torch.tensor([1.0, 2.0, 3.0])}
    alpha = {"w": torch.tensor([0.5, 0.0, -1.0])}
    stepped = inner_step(theta, alpha, {"w": torch.tensor([2.0, 2.0, 2.0])})
    assert stepped["w"].tolist() == [0.0, 2.0, 5.0]


@pytest.mark.parametrize(
    ("order", "theta"),
    [
        # d loss/d theta' = (6, 2); through the step: (6·.5 - 2·1.5, -6·.3 + 2·0).
        ("second", [0.0, -1.8]),
        # The inner gradient is a constant, so d theta'/d theta is the identity.
        ("first", [6.0, 2.0]),
    ],
)
def test_meta_gradient_by_hand(order: str, theta: list[float]) -> None:
    """theta's meta-gradient has the second-order term or lacks it; alpha's is -gradient·gradient in both."""
    learner = sine_learner(hidden=(), order=order)
    gradients, loss = meta_gradient(learner)(Meta(line(2, 1), line(0.1, 0.5)), TASK)
    assert float(loss) == pytest.approx(1.0)  # (1·3 - 2)²
    assert numbers(gradients.theta) == pytest.approx(theta, abs=1e-12)
    assert numbers(gradients.alpha) == pytest.approx([-60.0, -12.0])  # -6·10, -2·6


def test_scalar_rate_gathers_the_gradient_of_all_parameters() -> None:
    """w' = 1, b' = .4: residual 3.4, d loss/d theta' = (20.4, 6.8), d loss/d alpha = -(204 + 40.8)."""
    gradients, _ = meta_gradient(sine_learner("scalar", hidden=()))(Meta(line(2, 1), SCALAR), TASK)
    assert numbers(gradients.alpha) == pytest.approx([-244.8])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_batched_adaptation_equals_a_loop(alpha: str) -> None:
    """Tasks that are adapted at once under vmap end where each ends alone."""
    learner = sine_learner(alpha)
    meta, batch = start(learner), curves(5)
    batched = vmap(lambda support: learner.adapt(meta, support, 2))(batch.support).theta
    for task in range(5):
        alone = learner.adapt(meta, Examples(batch.support_x[task], batch.support_y[task]), 2)
        for name, value in alone.theta.items():
            torch.testing.assert_close(
                batched[name].expand(5, *value.shape)[task], value, rtol=1e-5, atol=1e-6
            )


def test_many_steps_are_single_steps_in_a_row() -> None:
    """adapt(steps=3) is one step, three times, and adaptations() shows every stage from the start on."""
    learner = sine_learner()
    meta, batch = start(learner), curves(1)
    support = Examples(batch.support_x[0], batch.support_y[0])
    theta = meta.theta
    stages = list(learner.adaptations(meta, support, 3))
    assert len(stages) == 4
    for stage in stages:
        assert same(Meta(stage.theta, {}), Meta(theta, {}))
        theta = learner.adapt(Meta(theta, meta.alpha), support).theta
    assert same(Meta(learner.adapt(meta, support, 3).theta, {}), Meta(stages[-1].theta, {}))


@pytest.mark.parametrize(("alpha", "moves"), [("per-parameter", True), ("scalar", True), ("fixed", False)])
@pytest.mark.parametrize("order", ["second", "first"])
def test_who_moves_alpha(alpha: str, moves: bool, order: str) -> None:
    """Meta-training moves every learned rate, in first order too, and leaves a fixed one as it is."""
    learner = sine_learner(alpha, order=order)
    began = start(learner)
    trained = meta_train(learner, sinusoid(), lambda meta: 0.0, training_settings(), seed=1).meta
    assert trained.alpha.keys() == began.alpha.keys()
    for name, value in trained.alpha.items():
        moved = value != began.alpha[name]
        # A ReLU that is never active gives its weights no gradient, so their rates may stand still.
        assert bool(moved.any()) is moves, name
        assert not moves or float(moved.double().mean()) > 0.5, name


@pytest.mark.parametrize("alpha", ALPHAS)
def test_learned_tensors_go_back_to_their_places(alpha: str) -> None:
    """with_learned is the inverse of learned; a fixed rate is not among them, and stays."""
    learner = sine_learner(alpha)
    meta = start(learner)
    doubled = learner.with_learned(meta, [2 * tensor for tensor in learner.learned(meta)])
    rate = 1 if alpha == "fixed" else 2
    expected = Meta(
        {name: 2 * value for name, value in meta.theta.items()},
        {name: rate * value for name, value in meta.alpha.items()},
    )
    assert same(doubled, expected)
    assert same(learner.with_learned(meta, learner.learned(meta)), meta)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_alpha_starts_at_one_value_of_its_range(alpha: Any) -> None:
    """All entries of alpha start at one value in [low, high], another for another seed."""
    learner = sine_learner(alpha, start=(0.005, 0.1))
    rates = [torch.cat([v.flatten() for v in start(learner, seed).alpha.values()] or [torch.zeros(0)])
             for seed in range(20)]  # fmt: skip
    if alpha == "none":
        assert all(len(rate) == 0 for rate in rates)
        return
    assert all(len(rate.unique()) == 1 and 0.005 <= float(rate[0]) <= 0.1 for rate in rates)
    assert len({float(rate[0]) for rate in rates}) == 20
    assert len(rates[0]) == (25 if alpha == "per-parameter" else 1)  # 8 + 8 + 8 + 1


def test_alpha_of_a_layer_starts_in_its_own_range() -> None:
    """Both tensors of a layer that is named; the others as ever. A layer that is not there is refused."""
    learner = sine_learner(layers={"linear1": (0.5, 0.5)}, start=(0.01, 0.01))
    for name, value in start(learner).alpha.items():
        expected = 0.5 if name.startswith("linear1.") else 0.01
        torch.testing.assert_close(value, torch.full_like(value, expected))
    with pytest.raises(InputError, match="layers names 'conv7'; expected some of linear0, linear1"):
        start(sine_learner(layers={"conv7": (0.5, 0.5)}))
    with pytest.raises(ValueError, match="only an alpha per parameter has layers"):
        sine_learner("scalar", layers={"linear1": (0.5, 0.5)})
