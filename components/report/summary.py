"""The run in a table: a row per experiment and algorithm, aggregated over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from components.artifacts.decision import Decision
from components.artifacts.intervals import half_width
from components.artifacts.results import Result, Score, read_scores
from components.report.lanes import Lane, read_lanes
from components.report.wording import score, versions
from metasgd.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """mean over tasks (and seeds) ± ci95. Accuracy is a fraction, 0 to 1."""

    mean: float
    ci95: float


@dataclass(frozen=True)
class Row:
    """One algorithm of one experiment on its test tasks.

    before, after: before adaptation, and after `steps` inner steps on `shots` examples (trajectories).
    served: after them, as the served model predicts: each example for itself.
    version: the registered versions, as in "3", "3-5" or "-".
    champion: whether one of these versions is the champion after the run.
    """

    experiment: str
    algorithm: str
    seeds: list[int]
    metric: str
    higher_is_better: bool
    reference: bool
    shots: int
    before: Estimate
    after: Estimate
    served: Estimate
    steps: int
    tasks: int
    version: str
    champion: bool
    commit: str
    data: str
    task_set: str


def rows(results: Sequence[Path], decisions: Sequence[Path]) -> list[Row]:
    """The rows of all lanes, in the order of the lanes and of the algorithms within each.

    results: the results folder of every lane; decisions: its decision.json, in the same order.
    Raises InputError for missing or contradicting files.
    """
    return [row for lane in read_lanes(results, decisions) for row in lane_rows(lane)]


def lane_rows(lane: Lane) -> list[Row]:
    return [_row(lane, seeds) for seeds in lane.results.values()]


def served_estimate(folder: Path, seeds: list[Result]) -> Estimate:
    """Of the served model, after adaptation on the reported shots."""
    first = seeds[0]
    if first.served is None:
        return estimate(folder, seeds, first.shots, first.adapted)
    return _over_seeds(
        folder, seeds, [seed.as_served for seed in seeds], ("served", first.shots, first.adapted)
    )


def estimate(folder: Path, seeds: list[Result], shots: int, step: int) -> Estimate:
    """Score of one algorithm over its seeds.

    The mean is the mean of the seeds' means. One seed keeps its own interval. Several seeds met
    the same tasks, so a task's scores are averaged over seeds first, and the interval is
    that of these averages: it speaks of tasks, not of training runs.
    """
    return _over_seeds(folder, seeds, [_at_step(seed, shots, step) for seed in seeds], ("test", shots, step))


def _over_seeds(
    folder: Path, seeds: list[Result], scores: list[Score], rows: tuple[str, int, int]
) -> Estimate:
    """rows: set, shots and step of the scores of single tasks behind `scores`, one for each seed."""
    if len(seeds) == 1:
        return Estimate(scores[0].mean, scores[0].ci95)
    shots = rows[1]
    if len({seed.scores()[shots].task_set for seed in seeds}) > 1:
        raise InputError(
            f"{folder}: seeds of {seeds[0].algorithm} met different test tasks; expected the same"
        )
    per_task = pd.concat([_task_scores(folder / f"{seed.name}.parquet", *rows) for seed in seeds])
    averaged = per_task.groupby("task")["score"].mean().to_numpy(float)
    mean = sum(score.mean for score in scores) / len(seeds)
    return Estimate(mean, half_width(averaged))


def table(rows: list[Row]) -> Table:
    """The rows, as a rule within 80 columns, the champion's version starred."""
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    for column in ("experiment", "algorithm"):
        shown.add_column(column, no_wrap=True)
    for column in ("before", "after one step\n± 95 % CI", "as served\n± 95 % CI", "version"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row, previous in zip(rows, [None, *rows[:-1]], strict=True):
        first = previous is None or previous.experiment != row.experiment
        if first and previous is not None:
            shown.add_section()
        shown.add_row(Text(row.experiment if first else ""), *_cells(row))
    return shown


def _cells(row: Row) -> list[Text]:
    seeds = f" ({len(row.seeds)} seeds)" if len(row.seeds) > 1 else ""
    steps = "" if row.steps == 1 else f" ({row.steps} steps)"
    after = score(row.after.mean, row.after.ci95, row.metric) + steps
    served = score(row.served.mean, row.served.ci95, row.metric)
    version = f"★ {row.version}" if row.champion else row.version
    before = score(row.before.mean, None, row.metric)
    return [Text(text) for text in (row.algorithm + seeds, before, after, served, version)]


def _row(lane: Lane, seeds: list[Result]) -> Row:
    first = seeds[0]
    champion, version = _registered(lane.decision, first.algorithm)
    return Row(
        experiment=first.experiment,
        algorithm=first.algorithm,
        seeds=[seed.seed for seed in seeds],
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        reference=first.reference,
        shots=first.shots,
        before=estimate(lane.folder, seeds, first.shots, first.steps[0].step),
        after=estimate(lane.folder, seeds, first.shots, first.adapted),
        served=served_estimate(lane.folder, seeds),
        steps=first.adapted,
        tasks=first.tasks,
        version=version,
        champion=champion,
        commit=first.commit,
        data=first.data,
        task_set=first.task_set,
    )


def _registered(decision: Decision, algorithm: str) -> tuple[bool, str]:
    """Whether a version of the algorithm is the champion now, and its versions as text."""
    own = [m.version for m in decision.versions if m.algorithm == algorithm and m.version is not None]
    return decision.champion_after in own, versions(own)


def _at_step(result: Result, shots: int, step: int) -> Score:
    for candidate in result.scores()[shots].steps:
        if candidate.step == step:
            return candidate
    raise InputError(f"{result.experiment} {result.name}: no score after {step} steps on {shots} shots")


def _task_scores(path: Path, name: str, shots: int, step: int) -> pd.DataFrame:
    """Columns task, score of a set."""
    scores = read_scores(path)
    return scores[(scores["set"] == name) & (scores["shots"] == shots) & (scores["step"] == step)]
