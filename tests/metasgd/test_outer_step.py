"""Adam's rates and their schedule, and the bound on the meta-gradient."""

from itertools import pairwise

import pytest

from metasgd.learner import Meta
from metasgd.loop import scheduled
from metasgd.training import meta_train
from tests.metasgd.small import sine_learner, sinusoid, start, training_settings, trpo_settings


def test_the_outer_step_follows_its_schedule() -> None:
    """Adam's rate and TRPO's bound: constant, or on a cosine over 4 iterations 1, 0.85355, 0.5, 0.14645."""
    for settings in (training_settings, trpo_settings):
        constant, cosine = (settings(iterations=4, schedule=schedule) for schedule in ("constant", "cosine"))
        assert [scheduled(constant, iteration) for iteration in range(4)] == [1.0] * 4
        shares = [scheduled(cosine, iteration) for iteration in range(4)]
        assert shares == pytest.approx([1, 0.85355, 0.5, 0.14645], rel=1e-4)


def test_adam_moves_by_the_scheduled_rate() -> None:
    """At first by the rate, whatever the gradient: the first of 4 iterations, and the last of a cosine's."""
    learner = sine_learner("none")

    def moves(schedule: str) -> list[float]:
        thetas = [start(learner).theta["linear1.bias"].clone()]

        def validate(meta: Meta) -> float:
            thetas.append(meta.theta["linear1.bias"].clone())
            return 0.0

        settings = training_settings(iterations=4, validate_every=1, rate=0.01, schedule=schedule)
        meta_train(learner, sinusoid(), validate, settings, seed=1)
        return [float((after - before).abs()) for before, after in pairwise(thetas)]

    constant, cosine = moves("constant"), moves("cosine")
    assert constant[0] == cosine[0] == pytest.approx(0.01, rel=1e-3)
    assert cosine[3] < 0.3 * constant[3]


def moved(**changes: object) -> tuple[float, float]:
    """How far one iteration moves a bias of theta, and its alpha."""
    learner = sine_learner(start=(0.01, 0.01))
    begun = start(learner)
    settings = training_settings(iterations=1, validate_every=1, rate=0.01, **changes)
    ended = meta_train(learner, sinusoid(), lambda meta: 0.0, settings, seed=1).meta
    theta, alpha = (
        float((after["linear1.bias"] - before["linear1.bias"]).abs())
        for after, before in zip(ended, begun, strict=True)
    )
    return theta, alpha


def test_alpha_has_a_rate_of_its_own() -> None:
    """As a multiple of theta's; Adam's first move is the rate. At 0, alpha stays where it starts."""
    assert moved() == pytest.approx((0.01, 0.01), rel=1e-3)
    assert moved(alpha_rate=0.1) == pytest.approx((0.01, 0.001), rel=1e-3)
    assert moved(alpha_rate=0.0) == pytest.approx((0.01, 0.0), rel=1e-3)


def test_the_meta_gradient_is_clipped() -> None:
    """To a norm beside which Adam's epsilon of 1e-8 is large; a large bound does nothing."""
    theta, _ = moved(clip=1e-9)
    assert 0 < theta < 0.001
    assert moved(clip=1e9) == moved()
