"""Scores as places on a line: before and after adaptation of one experiment, on one scale."""

import math
from dataclasses import dataclass
from itertools import groupby

from components.report.published import published
from components.report.summary import Row
from components.report.wording import score


@dataclass(frozen=True)
class Bar:
    """Places in per cent of the line. paper: None where the paper has no value for this row."""

    before: float
    after: float
    low: float
    high: float
    paper: float | None
    words: str


@dataclass(frozen=True)
class Group:
    """The rows of one experiment, each with its bar. start, end: the scores at the line's ends."""

    experiment: str
    metric: str
    start: str
    end: str
    higher_is_better: bool
    rows: list[tuple[Row, Bar]]


def groups(rows: list[Row]) -> list[Group]:
    return [_group(experiment, list(own)) for experiment, own in groupby(rows, lambda row: row.experiment)]


def _group(experiment: str, rows: list[Row]) -> Group:
    metric = rows[0].metric
    end = 1.0 if metric == "accuracy" else _largest_error(rows)
    ends = ("0 %", "100 %") if metric == "accuracy" else ("0", f"{end:.3g}")
    bars = [(row, _bar(row, end)) for row in rows]
    return Group(experiment, metric, *ends, rows[0].higher_is_better, bars)


def _largest_error(rows: list[Row]) -> float:
    """Right end of the line of an error, which has no natural one; diverged scores do not count."""
    values = [value for row in rows for value in (row.before.mean, row.after.mean) if math.isfinite(value)]
    return max(values, default=1.0) or 1.0


def _bar(row: Row, end: float) -> Bar:
    def place(value: float) -> float:
        return round(100 * min(max(value / end, 0.0), 1.0), 2) if math.isfinite(value) else 100.0

    before, after = row.before, row.after
    words = (
        f"{score(before.mean, None, row.metric)} before, {score(after.mean, after.ci95, row.metric)} after"
    )
    paper = published(row.experiment, row.algorithm, row.shots) if row.steps == 1 else None
    words += f"; the paper has {paper.text(row.metric)}" if paper else ""
    low, high = place(after.mean - after.ci95), place(after.mean + after.ci95)
    return Bar(place(before.mean), place(after.mean), low, high, place(paper.mean) if paper else None, words)
