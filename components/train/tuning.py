"""Find a learner's inner rate on the validation tasks: a baseline with an untuned rate is no baseline."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from components.episodes import load_episodes
from components.parameters import Training
from components.progress import progress
from components.train.step import fit, validation_score
from metasgd.adaptation import Learner
from metasgd.errors import DivergedError, InputError


def tune(training: Training, rates: Sequence[float], episodes: Path) -> dict[float, float]:
    """Validation score of each rate, trained in full, by its chosen checkpoint; NaN where it diverged."""
    return {rate: _score(training, rate, episodes) for rate in rates}


def _score(training: Training, rate: float, episodes: Path) -> float:
    data = load_episodes(episodes)
    learner = Learner.build(data.problem, training.network, replace(training.learner, start=(rate, rate)))
    with progress(f"{training.experiment} rate {rate:g}", training.train.iterations) as bar:
        try:
            outcome = fit(learner, data, training, watch=lambda point: bar(point.iteration, point.values))
        except DivergedError:
            return float("nan")
    return validation_score(learner, data)(outcome.meta)


def best_rate(scores: dict[float, float], higher_is_better: bool) -> float:
    """Raises InputError where every rate diverged."""
    finite = {rate: score for rate, score in scores.items() if math.isfinite(score)}
    if not finite:
        raise InputError(f"--rates {list(scores)}: all diverged; expected smaller ones")
    return (max if higher_is_better else min)(finite, key=lambda rate: finite[rate])


def tuning_table(scores: dict[float, float], best: float) -> Table:
    table = Table(title="Validation tasks, after adaptation")
    table.add_column("rate", justify="right")
    table.add_column("score", justify="right")
    for rate, score in scores.items():
        table.add_row(f"{rate:g}", f"{score:.4f}" + (" *" if rate == best else ""))
    return table
