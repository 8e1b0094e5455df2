"""The gate: whether a challenger takes the champion's place, by paired scores on the gate tasks."""

from dataclasses import dataclass

import numpy as np

from components.statistics import paired_difference


@dataclass(frozen=True)
class Verdict:
    """difference, ci95: challenger minus champion, so turned that positive is better; None without one."""

    wins: bool
    difference: float | None
    ci95: tuple[float, float] | None
    reason: str


def judge(challenger: np.ndarray, champion: np.ndarray | None, higher_is_better: bool) -> Verdict:
    """Compare scores [tasks] on the same tasks, in the same order.

    The challenger wins when the 95 % interval of the mean paired difference lies above zero, or
    when there is no champion. Equal scores move nothing.
    """
    if champion is None:
        return Verdict(True, None, None, "there was no champion")
    sign = 1 if higher_is_better else -1
    difference, (low, high) = paired_difference(sign * challenger, sign * champion)
    if low > 0:
        reason = "better than the champion: the interval of the paired difference lies above zero"
    elif high < 0:
        reason = "worse than the champion: the interval of the paired difference lies below zero"
    else:
        reason = "no clear difference: the interval of the paired difference holds zero"
    return Verdict(low > 0, difference, (low, high), reason)
