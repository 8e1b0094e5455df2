"""The gate: whether challengers take the champion's place, by paired scores on the gate tasks.

All challengers of a run meet one champion on the same tasks. Each could win by chance, so their comparisons
are held to Holm's (1979) step-down levels, which keep the chance of any false win in a run below 2.5 %,
however many they are. Nothing corrects for later runs, which meet the same gate tasks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.artifacts.intervals import paired_difference, paired_p_value

NO_CHAMPION = "there was no champion"
NOT_FINITE = "the champion's scores are not all finite"
NO_BETTER = "not clearly better after adaptation than before it"
LEVEL = 0.05  # two-sided: half of it is the chance of a false win


@dataclass(frozen=True)
class Verdict:
    """difference, interval: challenger minus champion, so turned that positive is better; None without one.

    level: the interval's, by Holm; .95 for a single challenger.
    """

    wins: bool
    reason: str
    difference: float | None = None
    interval: tuple[float, float] | None = None
    level: float | None = None


@dataclass(frozen=True)
class Scores:
    """Of a challenger [tasks], after adaptation and before."""

    after: np.ndarray
    before: np.ndarray


def judge(
    challengers: Sequence[Scores],
    champion: np.ndarray | None,
    higher_is_better: bool,
    gone: str = NO_CHAMPION,
) -> list[Verdict]:
    """A verdict on every challenger. Scores [tasks] are on the same tasks, in the same order.

    A challenger is better when the interval of the mean paired difference lies above zero; of several, the
    one that is better by most wins. Scores that are not finite never win; a champion with such scores loses
    to any that are finite. Without a champion the first challenger with finite scores that are better than
    those before adaptation becomes it, and the others meet that one. gone: why there is no champion.
    """
    verdicts: dict[int, Verdict] = {}
    sign = 1 if higher_is_better else -1
    for number, scores in enumerate(challengers):
        if not np.isfinite(scores.after).all():
            verdicts[number] = Verdict(False, "its scores are not all finite")
        elif champion is None and not _adapts(scores, sign):
            verdicts[number] = Verdict(False, NO_BETTER)
        elif champion is None or not np.isfinite(champion).all():
            verdicts[number] = Verdict(True, gone if champion is None else NOT_FINITE)
            champion = scores.after
    others = [number for number in range(len(challengers)) if number not in verdicts]
    pairs = [(sign * challengers[number].after, sign * champion) for number in others if champion is not None]
    verdicts.update(zip(others, _only_best(_compare(pairs)), strict=True))
    return [verdicts[number] for number in range(len(challengers))]


def _adapts(scores: Scores, sign: int) -> bool:
    """Whether the step is worth taking. Scores before it that are not finite are worse than any."""
    if not np.isfinite(scores.before).all():
        return True
    after, before = sign * scores.after, sign * scores.before
    return paired_p_value(after, before) < LEVEL and after.mean() > before.mean()


def _compare(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Verdict]:
    """Holm's step-down: the k-th smallest of m p-values is held to the level / (m - k), until one fails."""
    p_values = [paired_p_value(*pair) for pair in pairs]
    verdicts: dict[int, Verdict] = {}
    held = True  # whether all with smaller p-values were below their levels
    for rank, number in enumerate(sorted(range(len(pairs)), key=lambda one: p_values[one])):
        level = LEVEL / (len(pairs) - rank)
        is_clear = p_values[number] < level
        held = held and is_clear
        difference, interval = paired_difference(*pairs[number], level=1 - level)
        verdicts[number] = Verdict(
            held and difference > 0, _reason(held, is_clear, difference), difference, interval, 1 - level
        )
    return [verdicts[number] for number in range(len(pairs))]


def _only_best(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Of those that are better than the champion, one can take its place."""
    best = max((one.difference or 0.0 for one in verdicts if one.wins), default=0.0)
    beaten = "better than the champion, and another challenger by more"
    return [
        replace(one, wins=False, reason=beaten) if one.wins and one.difference != best else one
        for one in verdicts
    ]


def _reason(held: bool, is_clear: bool, difference: float) -> str:
    if not is_clear:
        return "no clear difference: the interval of the paired difference holds zero"
    if not held:
        return "no clear difference: a challenger that differs more is not clear of zero among so many"
    if difference > 0:
        return "better than the champion: the interval of the paired difference lies above zero"
    return "worse than the champion: the interval of the paired difference lies below zero"
