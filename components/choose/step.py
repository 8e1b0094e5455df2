"""Rank the points of a sweep by their scores on the validation tasks.

Gate and test tasks play no part: they judge what was chosen.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from components.artifacts.checkpoint import Trained, load_trained
from components.artifacts.choice import BEST, RANKING, Choice, Ranked, Trial, Trials, fingerprint
from components.artifacts.intervals import half_width
from components.choose.rows import write_rows
from components.choose.snippet import snippet
from components.config.parsing import to_json
from components.kinds.kind import THREADS, Kind
from components.kinds.table import load_tasks
from metasgd.errors import InputError
from metasgd.own_folder import own_folder


@dataclass(frozen=True)
class Measured:
    """A training of the sweep. score: on the validation tasks, None where it diverged. run: its row."""

    score: float | None
    run: str | None


def choose(trials: Trials, checkpoints: Sequence[Path], episodes: Path, output: Path) -> Choice:
    """Write ranking.json and best.yaml into the folder `output`, and a row per point into MLflow.

    checkpoints: of all trainings, in any order.
    Raises InputError for a checkpoint that is missing, damaged or of other tasks, and where every point
    diverged.
    """
    tasks = load_tasks(episodes)
    torch.set_num_threads(THREADS)
    trained = [load_trained(checkpoint, tasks.episodes.manifest.problem) for checkpoint in checkpoints]
    measured = {fingerprint(one.about.training): _measured(one, tasks) for one in trained}
    for missing in {name for trial in trials.trials for name in trial.trainings} - measured.keys():
        raise InputError(f"training {missing}: no checkpoint; expected one of every training of the sweep")
    objective = trained[0].learner.objective
    ranking = ranked(trials.trials, measured, objective.higher_is_better)
    about = (trials.experiment, trials.algorithm, objective.metric, objective.higher_is_better)
    choice = Choice(*about, trials.settings, ranking)
    runs = {trial.name: list(_runs(trial, measured)) for trial in trials.trials}
    if choice.best.mean is None:
        write_rows(choice, runs)
        raise InputError(f"{choice.experiment}: all {len(ranking)} points diverged; expected smaller rates")
    with own_folder(output, "components.choose") as folder:
        (folder / RANKING).write_text(to_json(choice, indent=2) + "\n")
        (folder / BEST).write_text(snippet(choice))
    write_rows(choice, runs, output)
    return choice


def ranked(trials: Sequence[Trial], measured: Mapping[str, Measured], higher_is_better: bool) -> list[Ranked]:
    """Points by their mean over seeds, the best first; those of which a training diverged come last."""
    sign = -1 if higher_is_better else 1
    points = [_ranked(trial, measured) for trial in trials]
    return sorted(points, key=lambda point: math.inf if point.mean is None else sign * point.mean)


def _ranked(trial: Trial, measured: Mapping[str, Measured]) -> Ranked:
    scores = {seed: measured[name].score for name, seed in trial.trainings.items()}
    finite = [score for score in scores.values() if score is not None]
    if len(finite) < len(scores):
        return Ranked(trial.overrides, scores, None, None)
    spread = half_width(finite) if len(finite) > 1 else None
    return Ranked(trial.overrides, scores, float(np.mean(finite)), spread)


def _measured(trained: Trained, tasks: Kind) -> Measured:
    run = trained.run.run_id if trained.run else None
    if not trained.is_finished:
        return Measured(None, run)
    score = tasks.validation_score(trained.learner)(trained.meta)
    return Measured(score if math.isfinite(score) else None, run)


def _runs(trial: Trial, measured: Mapping[str, Measured]) -> Iterator[str]:
    """The MLflow runs of its trainings, where they are known."""
    for name in trial.trainings:
        if (run := measured[name].run) is not None:
            yield run
