"""Alarms: what goes wrong in reinforcement without stopping it is said once, when it sets in."""

from collections.abc import Sequence

import pytest

from components.train.alarms import PATIENCE, Alarms
from metasgd.loop import Point

FINE = {
    "return_before": -40.0,
    "return_after": -10.0,
    "accepted": 1.0,
    "log_std": -0.5,
    "log_std_after": -0.5,
}


def heard(points: Sequence[dict[str, float]]) -> list[str]:
    alarms = Alarms("navigation meta-sgd seed 1")
    return [
        line
        for iteration, values in enumerate(points, start=1)
        for line in alarms(Point(iteration, FINE | values, None))
    ]


def test_nothing_is_said_of_what_is_fine() -> None:
    """Nor of supervised training, whose points have no returns."""
    assert heard([{}] * 20) == []
    assert list(Alarms("sine")(Point(1, {"train_loss": 3.0}, None))) == []


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"accepted": 0.0}, "the line search found no step 5 times in a row"),
        ({"return_after": -334.0}, "returns fell by adaptation 5 times in a row, now from -40.0 to -334.0"),
    ],
)
def test_a_habit_is_told_once(trouble: dict[str, float], words: str) -> None:
    """At the fifth point in a row, with advice; one good point starts the count anew."""
    assert heard([trouble] * (PATIENCE - 1)) == []
    assert heard(([trouble] * (PATIENCE - 1) + [{}]) * 3) == []
    (line,) = heard([trouble] * 20)
    assert line.startswith(f"navigation meta-sgd seed 1: warning: iteration {PATIENCE}: {words}")
    assert "try" in line
    assert len(heard([trouble] * 20 + [{}] + [trouble] * 20)) == 2, "and again, where it comes back"


@pytest.mark.parametrize("key", ["log_std", "log_std_after"])
@pytest.mark.parametrize("value", [2.5, -6.0])
def test_a_standard_deviation_that_runs_away_is_told(key: str, value: float) -> None:
    """Of the policy before or after adaptation, to either side."""
    (line,) = heard([{}, {key: value}, {key: value}])
    assert "iteration 2" in line
    assert f"log standard deviation is {value}" in line
