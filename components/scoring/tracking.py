"""What scoring adds to MLflow: metrics, tags and figures, to the run of the training."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

from components.artifacts.checkpoint import Trained
from components.artifacts.results import Result
from components.config.settings import TaskSettings
from components.tracking.client import connect
from components.tracking.runs import TrackedRun, find_run, open_run
from metasgd.trees import flatten


@contextmanager
def run_of(trained: Trained, tasks: TaskSettings, apart: bool = False) -> Iterator[TrackedRun]:
    """The MLflow run of the checkpoint's training; where this store lacks it, a new one, linked.

    tasks: that it is scored on. apart: these are of another domain, so they have a run of their own, too.
    """
    known = trained.run.run_id if trained.run else None
    run = None if apart else find_run(connect(), known)
    if run is not None:
        yield run
        return
    title = f"{trained.about.training.title} ({f'on {tasks.domain}' if apart else 'evaluation'})"
    with open_run(tasks.kind, title, {"training_run": str(known)}) as run:
        yield run


def log_result(run: TrackedRun, result: Result, scores: pd.DataFrame, trained: Trained) -> None:
    """One row in the MLflow UI says all: metrics and tags join the run of the training."""
    metric = result.metric
    before, after = result.steps[0], result.after
    gate = scores[(scores["set"] == "gate") & (scores["step"] == result.adapted)]["score"]
    values = {
        f"test_{metric}_before": before.mean,
        f"test_{metric}_before_ci95": before.ci95,
        f"test_{metric}_after": after.mean,
        f"test_{metric}_after_ci95": after.ci95,
        f"test_{metric}_served": result.as_served.mean,
        f"test_{metric}_served_ci95": result.as_served.ci95,
        f"gate_{metric}_after": float(gate.mean()),
        **_summary(trained),
    }
    for further in result.steps:
        if further.step > result.adapted:
            values[f"test_{metric}_after_{further.step}steps"] = further.mean
    for ablation in result.ablations:
        values[f"with_alpha_{ablation.name}_gate_{metric}"] = ablation.mean
        values[f"with_alpha_{ablation.name}_worth"] = ablation.worth
    for shots, other in result.other_shots.items():
        values[f"test_{metric}_after_{shots}shot"] = other.at(result.adapted).mean
    run.log_metrics(values)
    run.set_tags({"task_set": result.task_set, "evaluated_by": result.commit, "reference": result.reference})
    run.describe(_description(result))


def _description(result: Result) -> str:
    """Markdown."""
    better = "high" if result.higher_is_better else "low"
    rows = {
        "before adaptation": result.steps[0],
        "after adaptation": result.after,
        "as served": result.as_served,
    }
    return "\n".join(
        [
            f"**{result.algorithm}** on **{result.experiment}**, seed {result.seed}: mean {result.metric} "
            f"({better} is good) and 95 % interval over {result.tasks} test tasks.",
            "",
            f"| | {result.metric} | ± |",
            "| --- | ---: | ---: |",
            *(f"| {name} | {score.mean:.4g} | {score.ci95:.2g} |" for name, score in rows.items()),
            "",
            *(f"- {note}" for note in result.notes),
        ]
    )


def _summary(trained: Trained) -> dict[str, float]:
    """theta and alpha in numbers that two runs can be compared by."""
    numbers = {"theta_norm": float(flatten(trained.meta.theta.values()).norm())}
    if trained.alpha:
        alpha = np.concatenate([rates.ravel() for rates in trained.alpha.values()])
        numbers["alpha_mean"] = float(alpha.mean())
        numbers["alpha_negative_share"] = float((alpha < 0).mean())
    return numbers
