"""Find a learner's inner rate on the validation tasks: a baseline with an untuned rate is no baseline."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from components.config.settings import Training
from components.console.progress import progress
from components.kinds.kind import Hooks, Kind
from components.kinds.table import load_tasks
from components.train.step import Job
from metasgd.errors import DivergedError, InputError
from metasgd.learner_settings import GradientSettings


def tune(training: Training, rates: Sequence[float], episodes: Path) -> tuple[dict[float, float], bool]:
    """Validation score of each rate, trained in full, by its chosen checkpoint; NaN where it diverged.

    Also returns whether higher scores are better.
    """
    learner = training.learner
    if not isinstance(learner, GradientSettings):
        raise InputError(f"{training.title}: {learner.kind} has no inner rate; expected kind gradient")
    tasks = load_tasks(episodes)
    scores = {rate: _score(training, learner, rate, tasks) for rate in rates}
    return scores, Job.of(training, tasks).learner.objective.higher_is_better


def _score(training: Training, learner: GradientSettings, rate: float, tasks: Kind) -> float:
    training = replace(training, learner=replace(learner, start=(rate, rate)))
    job = Job.of(training, tasks)
    with progress(f"{training.experiment} rate {rate:g}", training.train.iterations) as bar:
        hooks = Hooks(lambda point: bar(point.iteration, point.values))
        try:
            outcome = tasks.fit(job.learner, training, hooks)
        except DivergedError:
            return float("nan")
    return tasks.validation_score(job.learner)(outcome.meta)


def best_rate(scores: dict[float, float], higher_is_better: bool) -> float | None:
    """None where every rate diverged."""
    finite = {rate: score for rate, score in scores.items() if math.isfinite(score)}
    choose = max if higher_is_better else min
    return choose(finite, key=lambda rate: finite[rate], default=None)


def tuning_table(title: str, scores: dict[float, float], best: float | None) -> Table:
    table = Table(title=f"{title}: validation tasks, after adaptation")
    table.add_column("rate", justify="right")
    table.add_column("score", justify="right")
    for rate, score in scores.items():
        table.add_row(f"{rate:g}", f"{score:.4f}" + (" *" if rate == best else ""))
    return table
