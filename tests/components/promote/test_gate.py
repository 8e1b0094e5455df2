"""The gate alone, by hand-computed numbers."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from components.promote.gate import NO_BETTER, Scores, Verdict, judge
from components.tracking.registry import CHAMPION


def judged(
    challengers: Sequence[np.ndarray], champion: np.ndarray | None, higher_is_better: bool
) -> list[Verdict]:
    """Of challengers whose scores before adaptation are worse than any."""
    hopeless = -math.inf if higher_is_better else math.inf
    scores = [Scores(after, np.full(len(after), hopeless)) for after in challengers]
    return judge(scores, champion, higher_is_better)


def test_the_gate_by_hand() -> None:
    """Differences 1, 2, 3, 4: mean 2.5, interval ± 2.05426 above zero, whichever way better points."""
    level = np.array([10.0, 20.0, 30.0, 40.0])
    better = level + np.array([1.0, 2.0, 3.0, 4.0])
    (win,) = judged([better], level, higher_is_better=True)
    assert win.wins
    assert win.difference == 2.5
    assert win.interval == pytest.approx((0.44574, 4.55426), abs=1e-5)
    assert win.level == 0.95
    assert judged([level], better, higher_is_better=False) == [win], "for errors, lower is better"
    (loss,) = judged([level], better, higher_is_better=True)
    assert (loss.wins, loss.difference) == (False, -2.5)
    assert "worse" in loss.reason


def test_the_gate_asks_for_a_clear_difference() -> None:
    """Better on average is not enough: differences -1, 2, 3, 4 have zero within their interval."""
    level = np.zeros(4)
    (verdict,) = judged([np.array([-1.0, 2.0, 3.0, 4.0])], level, higher_is_better=True)
    assert verdict.difference == 2.0
    assert not verdict.wins
    assert "no clear difference" in verdict.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_never_win(bad: float) -> None:
    """Not even an empty place; the next one with finite scores gets it, and is not held up by them."""
    broken, fine, better = np.array([bad, bad, 1.0]), np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.1, 4.0])
    verdicts = judged([broken, fine, better], None, higher_is_better=True)
    assert [verdict.wins for verdict in verdicts] == [False, True, True]
    assert verdicts[0].reason == "its scores are not all finite"
    assert verdicts[1].reason == "there was no champion"
    assert not judged([broken], fine, higher_is_better=True)[0].wins


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_champion_whose_scores_are_not_finite_does_not_stay_for_ever(bad: float) -> None:
    """The first challenger with finite scores takes its place."""
    (verdict,) = judged([np.array([5.0, 6.0])], np.array([bad, 1.0]), higher_is_better=False)
    assert (verdict.wins, verdict.difference) == (True, None)
    assert verdict.reason == "the champion's scores are not all finite"


@pytest.mark.parametrize(
    ("differences", "wins"),
    [([1.0, 2.0, 3.0, 4.0], True), ([-1.0, 2.0, 3.0, 4.0], False), ([-1.0, -2.0], False)],
)
def test_the_first_champion_has_to_gain_by_its_step(differences: list[float], wins: bool) -> None:
    """Clearly: the interval of what the step changes lies above zero, whichever way better points."""
    before = np.arange(len(differences), dtype=float)
    for sign in (1, -1):
        scores = Scores(before + sign * np.array(differences), before)
        (verdict,) = judge([scores], None, higher_is_better=sign > 0)
        assert verdict.wins == wins
        assert verdict.reason == ("there was no champion" if wins else NO_BETTER)


def test_the_next_one_that_gains_takes_the_empty_place() -> None:
    """And who did not gain meets it, as everybody else."""
    before = np.zeros(4)
    still, gains = Scores(before, before), Scores(np.array([1.0, 2.0, 3.0, 4.0]), before)
    first, second = judge([still, gains], None, higher_is_better=True)
    assert (first.wins, second.wins) == (False, True)


def test_one_task_decides_nothing() -> None:
    """Without a spread over tasks, any better score would win."""
    with pytest.raises(ValueError, match="1 tasks; expected at least 2"):
        judged([np.array([2.0])], np.array([1.0]), higher_is_better=True)


def shifted(mean: float) -> np.ndarray:
    """Five differences with deviation 1 around the mean: t = mean * sqrt(5)."""
    spread = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    return mean + spread


def test_several_challengers_are_held_to_holms_levels() -> None:
    """p is .0405 at t = 3 with 4 degrees of freedom: enough for one challenger, too much among three.

    t = 1.34 * sqrt(5) = 3.0. Beside two that are no better, it is held to .05 / 3.
    """
    nothing = np.zeros(5)
    lucky, dull = shifted(1.34), shifted(0.1)
    (alone,) = judged([lucky], nothing, higher_is_better=True)
    assert alone.wins
    first, *others = judged([lucky, dull, dull], nothing, higher_is_better=True)
    assert [verdict.wins for verdict in (first, *others)] == [False, False, False]
    assert first.level == pytest.approx(1 - 0.05 / 3)
    assert first.interval is not None
    assert first.interval[0] < 0 < first.interval[1]
    assert "no clear difference" in first.reason


def test_behind_one_that_fails_nobody_wins() -> None:
    """Though its own interval, at its own level, lies above zero: the reason is another one."""
    first, second = judged([shifted(1.34), shifted(1.3)], np.zeros(5), higher_is_better=True)
    assert not first.wins
    assert not second.wins
    assert second.interval is not None
    assert second.interval[0] > 0
    assert "holds zero" in first.reason
    assert "a challenger that differs more" in second.reason


def test_one_clear_win_leaves_its_level_to_the_others() -> None:
    """Step down: behind a clear winner, the next of two is held to .05, and is better, but by less."""
    nothing = np.zeros(5)
    next_best, best = judged([shifted(1.34), shifted(10.0)], nothing, higher_is_better=True)
    assert next_best.level == pytest.approx(0.95)
    assert best.level == pytest.approx(0.975)
    assert (next_best.wins, best.wins) == (False, True)
    assert next_best.reason == "better than the champion, and another challenger by more"


def test_chance_seldom_makes_a_champion_however_many_try() -> None:
    """Ten challengers as good as the champion: at most 2.5 % of runs have a winner (here 3.5 % at most).

    Each for itself at 95 %, about a fifth of all runs would have one.
    """
    draw = np.random.default_rng(0)
    runs = [judged(list(draw.normal(size=(10, 50))), draw.normal(size=50), True) for _ in range(1000)]
    assert sum(any(verdict.wins for verdict in run) for run in runs) <= 35


def test_the_alias_has_one_name() -> None:
    """What users type after the @ in models:/sinusoid-5shot@champion."""
    assert CHAMPION == "champion"
