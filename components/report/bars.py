"""Scores as places on a line: before and after adaptation of one experiment, on one scale."""

import math
from dataclasses import dataclass
from itertools import groupby

from components.report.published import both_iterations, published
from components.report.summary import Row
from components.report.verdicts import verdict
from components.report.wording import measure, score, signed


@dataclass(frozen=True)
class Bar:
    """Places in per cent of the line.

    worse: whether adaptation lost. paper: None where the paper has no value for this row.
    """

    before: float
    after: float
    low: float
    high: float
    paper: float | None
    words: str
    worse: bool


@dataclass(frozen=True)
class Group:
    """The rows of one experiment, each with its bar.

    measure: what their scores are, in words; start, end: the scores at the line's ends.
    paper: of the paper's values and these, the meta-iterations; verdict: in words, with its intervals.
    """

    experiment: str
    measure: str
    start: str
    end: str
    higher_is_better: bool
    paper: str | None
    verdict: str
    rows: list[tuple[Row, Bar]]


def groups(rows: list[Row]) -> list[Group]:
    return [_group(experiment, list(own)) for experiment, own in groupby(rows, lambda row: row.experiment)]


def _group(experiment: str, rows: list[Row]) -> Group:
    metric = rows[0].metric
    start, end = (0.0, 1.0) if metric == "accuracy" else _reach(rows)
    ends = ("0 %", "100 %") if metric == "accuracy" else (signed(f"{start:.3g}"), signed(f"{end:.3g}"))
    bars = [(row, _bar(row, start, end)) for row in rows]
    shown = any(bar.paper is not None for _, bar in bars)
    paper = both_iterations(experiment, rows[0].iterations) if shown else None
    what = measure(metric, rows[0].shots)
    return Group(experiment, what, *ends, rows[0].higher_is_better, paper, verdict(rows), bars)


def _reach(rows: list[Row]) -> tuple[float, float]:
    """From 0 to the score farthest from it: to the right for errors, to the left for negative returns.

    An error has no natural largest value, nor a return a lowest one; diverged scores do not count.
    """
    values = [value for row in rows for value in (row.before.mean, row.after.mean) if math.isfinite(value)]
    start, end = min([0.0, *values]), max([0.0, *values])
    return (start, end) if start < end else (0.0, 1.0)


def _bar(row: Row, start: float, end: float) -> Bar:
    worst = 0.0 if row.higher_is_better else 100.0

    def place(value: float) -> float:
        share = (value - start) / (end - start)
        return round(100 * min(max(share, 0.0), 1.0), 2) if math.isfinite(value) else worst

    before, after = row.before, row.after
    words = (
        f"{score(before.mean, None, row.metric)} before, {score(after.mean, after.ci95, row.metric)} after"
    )
    paper = published(row.experiment, row.algorithm, row.shots) if row.steps == 1 else None
    sign = 1 if row.higher_is_better else -1
    worse = not sign * (after.mean - before.mean) >= 0  # or not finite
    words += ", which is worse" if worse else ""
    words += f"; the paper has {paper.text(row.metric)}" if paper else ""
    low, high = place(after.mean - after.ci95), place(after.mean + after.ci95)
    beside = place(paper.mean) if paper else None
    return Bar(place(before.mean), place(after.mean), low, high, beside, words, worse)
