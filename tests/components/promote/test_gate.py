"""The gate alone, by hand-computed numbers."""

import numpy as np
import pytest

from components.promote.gate import judge
from components.tracking.registry import CHAMPION


def test_the_gate_by_hand() -> None:
    """Differences 1, 2, 3, 4: mean 2.5, interval ± 2.05426 above zero, whichever way better points."""
    level = np.array([10.0, 20.0, 30.0, 40.0])
    better = level + np.array([1.0, 2.0, 3.0, 4.0])
    win = judge(better, level, higher_is_better=True)
    assert win.wins
    assert win.difference == 2.5
    assert win.ci95 == pytest.approx((0.44574, 4.55426), abs=1e-5)
    assert judge(level, better, higher_is_better=False) == win, "for errors, lower is better"
    loss = judge(level, better, higher_is_better=True)
    assert (loss.wins, loss.difference) == (False, -2.5)
    assert "worse" in loss.reason


def test_the_gate_asks_for_a_clear_difference() -> None:
    """Better on average is not enough: differences -1, 2, 3, 4 have zero within their interval."""
    level = np.zeros(4)
    verdict = judge(np.array([-1.0, 2.0, 3.0, 4.0]), level, higher_is_better=True)
    assert verdict.difference == 2.0
    assert not verdict.wins
    assert "no clear difference" in verdict.reason


def test_the_alias_has_one_name() -> None:
    """What users type after the @ in models:/sinusoid-5shot@champion."""
    assert CHAMPION == "champion"
