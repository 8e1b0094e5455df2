"""Means of scores with two intervals: over the tasks, and over the trainings, which seeds tell apart.

Several seeds met the same tasks, so a task's scores are averaged over seeds first, and the interval over
tasks is that of these averages: it says what other tasks would give these models. The interval over seeds is
Student's over the seeds' means: it says what other trainings would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.artifacts.intervals import half_width
from components.artifacts.results import ABLATED, Result, Score, read_scores
from metasgd.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """mean over tasks and seeds. Accuracy is a fraction, 0 to 1.

    ci95: half the 95 % interval over tasks. over_seeds: half that over seeds; None for one seed.
    """

    mean: float
    ci95: float
    over_seeds: float | None = None


@dataclass(frozen=True)
class Lead:
    """How far an algorithm is ahead of another one after adaptation, by the seeds that both have.

    difference: turned so that positive is better; task by task, and seed by seed.
    """

    other: str
    seeds: int
    difference: Estimate


def estimate(folder: Path, seeds: Sequence[Result], shots: int, step: int) -> Estimate:
    """Score of one algorithm over its seeds. One seed keeps its own interval."""
    return _estimate(folder, seeds, [_at_step(seed, shots, step) for seed in seeds], ("test", shots, step))


def served_estimate(folder: Path, seeds: Sequence[Result]) -> Estimate:
    """Of the served model, after adaptation on the reported shots."""
    first = seeds[0]
    if first.served is None:
        return estimate(folder, seeds, first.shots, first.adapted)
    served = [seed.as_served for seed in seeds]
    return _estimate(folder, seeds, served, ("served", first.shots, first.adapted))


def lead(folder: Path, own: Sequence[Result], others: Sequence[Result]) -> Lead | None:
    """None where no seed is common. Over one seed, it tells of two trainings, and not of their algorithms."""
    common = sorted({result.seed for result in own} & {result.seed for result in others})
    if not common:
        return None

    def after(results: Sequence[Result]) -> pd.DataFrame:
        chosen = [result for result in results if result.seed in common]
        return _by_seed(folder, chosen, ("test", chosen[0].shots, chosen[0].adapted))

    sign = 1 if own[0].higher_is_better else -1
    return Lead(others[0].algorithm, len(common), averaged(sign * (after(own) - after(others))))


def gain(folder: Path, seeds: Sequence[Result]) -> Estimate:
    """What adaptation is worth on the test tasks: after minus before, task by task; positive is better."""
    first = seeds[0]
    before, after = (
        _by_seed(folder, seeds, ("test", first.shots, step)) for step in (first.steps[0].step, first.adapted)
    )
    return averaged((1 if first.higher_is_better else -1) * (after - before))


def worth(folder: Path, seeds: Sequence[Result], ablation: str) -> Estimate:
    """What alpha is ahead by on the gate tasks, where that much of it is taken away (metasgd.ablation)."""
    shots, step = seeds[0].shots, seeds[0].adapted
    if len(seeds) == 1:
        found = next(one for one in seeds[0].ablations if one.name == ablation)
        return Estimate(found.worth, found.ci95)
    learned, ablated = (
        _by_seed(folder, seeds, (name, shots, step)) for name in ("gate", f"{ABLATED}{ablation}")
    )
    return averaged((1 if seeds[0].higher_is_better else -1) * (learned - ablated))


def _estimate(
    folder: Path, seeds: Sequence[Result], scores: Sequence[Score], rows: tuple[str, int, int]
) -> Estimate:
    """rows: set, shots and step of the scores of single tasks behind `scores`, one for each seed."""
    if len(seeds) == 1:
        return Estimate(scores[0].mean, scores[0].ci95)
    _require_same_tasks(folder, seeds, rows[1])
    means = [score.mean for score in scores]
    over_tasks = _by_seed(folder, seeds, rows).mean(axis=1)
    return Estimate(float(np.mean(means)), half_width(over_tasks.to_numpy()), half_width(means))


def averaged(scores: pd.DataFrame) -> Estimate:
    """Of scores, or of paired differences, [tasks, seeds]."""
    over_tasks, over_seeds = (scores.mean(axis=axis, skipna=False).to_numpy() for axis in (1, 0))
    seeds = half_width(over_seeds) if len(over_seeds) > 1 else None
    return Estimate(float(over_seeds.mean()), half_width(over_tasks), seeds)


def _by_seed(folder: Path, seeds: Sequence[Result], rows: tuple[str, int, int]) -> pd.DataFrame:
    """Scores [tasks, seeds], indexed by task."""
    return pd.DataFrame(
        {result.seed: _task_scores(folder / f"{result.name}.parquet", *rows) for result in seeds}
    )


def _require_same_tasks(folder: Path, seeds: Sequence[Result], shots: int) -> None:
    if len({seed.scores()[shots].task_set for seed in seeds}) > 1:
        raise InputError(
            f"{folder}: seeds of {seeds[0].algorithm} met different test tasks; expected the same"
        )


def _at_step(result: Result, shots: int, step: int) -> Score:
    for candidate in result.scores()[shots].steps:
        if candidate.step == step:
            return candidate
    raise InputError(f"{result.experiment} {result.name}: no score after {step} steps on {shots} shots")


def _task_scores(path: Path, name: str, shots: int, step: int) -> pd.Series:
    """The scores of a set, by task."""
    scores = read_scores(path)
    chosen = (scores["set"] == name) & (scores["shots"] == shots) & (scores["step"] == step)
    return scores[chosen].set_index("task")["score"]
