"""An experiment's verdict in a sentence or two, with its intervals."""

import math
from collections.abc import Sequence

from components.plots.words import after_steps
from components.report.estimates import Estimate, Lead
from components.report.summary import Row
from components.report.wording import METRICS, listed, number


def verdict(rows: Sequence[Row]) -> str:
    """Of one experiment: what adaptation is worth to its first learner, and how that does beside others."""
    first = rows[0]
    compared = _compared(first.algorithm, first.leads, first.metric)
    return " ".join([_gained(first), *([compared] if compared else [])])


def _gained(row: Row) -> str:
    low, high = _ends(row.gain)
    after = after_steps(row.steps).capitalize()
    if not math.isfinite(row.gain.mean):
        return f"{after}, {row.algorithm} has no finite score: it diverged."
    on = f"on {row.tasks} test tasks"
    if low > 0:
        return f"{after}, {row.algorithm} is better by {_size(row.gain, row.metric)} {on}."
    if high < 0:
        return f"{after}, {row.algorithm} is worse by {_size(_turned(row.gain), row.metric)} {on}."
    return f"{after}, {row.algorithm} is neither better nor worse: by {_size(row.gain, row.metric)} {on}."


def _compared(algorithm: str, leads: Sequence[Lead], metric: str) -> str:
    """Over several seeds, algorithms; over one, the two models that it gave."""
    finite = [lead for lead in leads if math.isfinite(lead.difference.mean)]
    if not finite:
        return ""
    seeds = {lead.seeds for lead in finite}
    parts = [_place(lead, metric) for lead in finite]
    if seeds == {1}:
        return (
            f"On the same tasks, this {algorithm} model is {listed(parts)}; one training of each does not "
            "tell which algorithm is better."
        )
    trainings = " to ".join(dict.fromkeys([str(min(seeds)), str(max(seeds))]))
    return f"Over {trainings} seeds, {algorithm} is {listed(parts)}."


def _place(lead: Lead, metric: str) -> str:
    low, high = _ends(lead.difference)
    size = _size(_turned(lead.difference), metric)
    if low > 0:
        return f"ahead of {lead.other} by {size}"
    return f"behind {lead.other} by {size}" if high < 0 else f"not told apart from {lead.other} ({size})"


def _ends(estimate: Estimate) -> tuple[float, float]:
    """Over seeds, where there are several: tasks tell nothing of other trainings."""
    half = estimate.ci95 if estimate.over_seeds is None else estimate.over_seeds
    return estimate.mean - half, estimate.mean + half


def _turned(difference: Estimate) -> Estimate:
    """As it is said behind "behind": without a sign, where the whole interval is below zero."""
    if _ends(difference)[1] >= 0:
        return difference
    return Estimate(-difference.mean, difference.ci95, difference.over_seeds)


def _size(estimate: Estimate, metric: str) -> str:
    """ "0.31 [0.25, 0.37]"."""
    low, high = (number(end, metric) for end in _ends(estimate))
    return f"{number(estimate.mean, metric)} [{low}, {high}]{METRICS[metric].apart}"
