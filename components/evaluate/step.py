"""Score every checkpoint of a lane on the stored gate and test tasks, and draw its pictures."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from components.episodes import Episodes, load_episodes
from components.evaluate.figures import draw_figures
from components.files import whole_folder
from components.parameters import Training, from_json, to_json
from components.results import Result, Score, ShotScores, TrainingRecord, read_json
from components.statistics import half_width
from components.tracking import TrackedRun, connect, find_run, git_commit, open_run
from components.train.step import read_run_id
from metasgd.adaptation import Learner, Meta
from metasgd.checkpoint import load_checkpoint
from metasgd.configuration import ConvNetSettings
from metasgd.errors import InputError
from metasgd.evaluation import score

METRICS, SHEET = "metrics.json", "contact-sheet.png"
THREADS = 2  # fixed, because the order of additions decides the last bits of a score


def evaluate(checkpoints: Sequence[Path], episodes: Path, output: Path) -> None:
    """Write the results folder: per checkpoint a JSON, the per-task scores as parquet, and pictures.

    Raises InputError for a checkpoint that is damaged or was trained for another kind of task.
    """
    data = load_episodes(episodes)
    with whole_folder(output) as folder:
        if (episodes / SHEET).exists():
            (folder / "pictures").mkdir()
            shutil.copy(episodes / SHEET, folder / "pictures" / SHEET)
        for checkpoint in checkpoints:
            _evaluate(checkpoint, data, folder)
        (folder / METRICS).write_text(json.dumps(headline(folder), indent=2) + "\n")


def headline(folder: Path) -> dict[str, float]:
    """Scores before and after adaptation of every algorithm and seed: what DVC and KFP show."""
    values = {}
    for result in (read_json(Result, path) for path in sorted(folder.glob("*-seed*.json"))):
        name = f"{result.algorithm}-seed{result.seed}-{result.metric}"
        values[f"{name}-before"] = result.steps[0].mean
        values[f"{name}-after"] = result.steps[-1].mean
        values[f"{name}-after-ci95"] = result.steps[-1].ci95
    return values


def _evaluate(checkpoint: Path, data: Episodes, folder: Path) -> None:
    learner, meta, about = load_checkpoint(checkpoint)
    if learner.problem != data.problem:
        raise InputError(f"{checkpoint}: was trained for {learner.problem}; expected {data.problem}")
    if "training" not in about:
        raise InputError(
            f"{checkpoint}: holds no training's parameters; expected an output of the train step"
        )
    training = from_json(Training, about["training"], str(checkpoint))
    torch.set_num_threads(THREADS)
    scores = task_scores(learner, meta, data)
    name = f"{training.algorithm}-seed{training.seed}"
    with _run_of(checkpoint, training, data) as run:
        result = _result(training, about, learner, meta, data, scores, run.run_id)
        (folder / f"{name}.json").write_text(to_json(result) + "\n")
        scores.to_parquet(folder / f"{name}.parquet", index=False)
        pictures = folder / "pictures" / name
        draw_figures(checkpoint, learner, meta, data, about["chosen_iteration"], pictures)
        _log(run, result, scores, meta)
        run.log_folder(pictures, "pictures")
        if (sheet := folder / "pictures" / SHEET).exists():
            run.log_file(sheet, "pictures")


def task_scores(learner: Learner, meta: Meta, data: Episodes) -> pd.DataFrame:
    """Per-task scores: columns set, shots, task, step, score."""
    sets = [("gate", data.shots), *(("test", shots) for shots in data.tasks.stored.test_shots)]
    return pd.concat([_scores(learner, meta, data, name, shots) for name, shots in sets], ignore_index=True)


def gate_scores(learner: Learner, meta: Meta, data: Episodes) -> Tensor:
    """Scores [tasks] on the gate tasks after the learner's own number of test steps."""
    torch.set_num_threads(THREADS)
    return score(learner, meta, data.batch("gate", data.shots), learner.settings.test_steps)[:, -1]


def _scores(learner: Learner, meta: Meta, data: Episodes, name: str, shots: int) -> pd.DataFrame:
    table = score(learner, meta, data.batch(name, shots), learner.settings.test_steps)
    tasks, steps = table.shape
    return pd.DataFrame(
        {
            "set": name,
            "shots": shots,
            "task": torch.arange(tasks).repeat_interleave(steps).numpy(),
            "step": torch.arange(steps).repeat(tasks).numpy(),
            "score": table.flatten().double().numpy(),
        }
    )


def _result(
    training: Training,
    about: dict[str, Any],
    learner: Learner,
    meta: Meta,
    data: Episodes,
    scores: pd.DataFrame,
    run_id: str,
) -> Result:
    by_shots = {shots: _shot_scores(scores, data, shots) for shots in data.tasks.stored.test_shots}
    reported = by_shots.pop(data.shots)
    return Result(
        experiment=training.experiment,
        algorithm=training.algorithm,
        seed=training.seed,
        metric=learner.objective.metric,
        higher_is_better=learner.objective.higher_is_better,
        task_set=reported.task_set,
        tasks=reported.tasks,
        shots=data.shots,
        data=data.manifest["data"],
        commit=git_commit(),
        steps=reported.steps,
        other_shots=by_shots,
        reference=learner.settings.is_reference,
        learner=asdict(training.learner),
        network={**asdict(training.network), "parameters": sum(v.numel() for v in meta.theta.values())},
        notes=[*data.manifest["notes"], *_network_notes(training)],
        training=TrainingRecord(
            iterations=training.train.iterations,
            chosen_iteration=about["chosen_iteration"],
            seconds=about["seconds"],
            device=about["device"],
            compiled=about["compiled"],
        ),
        run_id=run_id,
    )


def _shot_scores(scores: pd.DataFrame, data: Episodes, shots: int) -> ShotScores:
    of_test = scores[(scores["set"] == "test") & (scores["shots"] == shots)]
    steps = [
        Score(step, float(scores.mean()), half_width(scores))
        for step in sorted(of_test["step"].unique().tolist())
        for scores in [of_test.loc[of_test["step"] == step, "score"].to_numpy()]
    ]
    return ShotScores(data.task_set("test", shots), int(of_test["task"].nunique()), steps)


def _network_notes(training: Training) -> list[str]:
    network = training.network
    if not isinstance(network, ConvNetSettings):
        return []
    statistics = "the whole query batch (transductive)" if network.transductive else "the support set"
    return [f"{network.filters} filters", f"batch norm of queries by the statistics of {statistics}"]


@contextmanager
def _run_of(checkpoint: Path, training: Training, data: Episodes) -> Iterator[TrackedRun]:
    """The MLflow run of the checkpoint's training; where this store lacks it, a new one, linked."""
    trained = read_run_id(checkpoint)
    run = find_run(connect(), trained)
    if run is not None:
        yield run
        return
    name = f"{training.experiment} {training.algorithm} seed {training.seed} (evaluation)"
    with open_run(data.tasks.kind, name, {"training_run": str(trained)}) as run:
        yield run


def _log(run: TrackedRun, result: Result, scores: pd.DataFrame, meta: Meta) -> None:
    """One row in the MLflow UI says all: metrics and tags join the run of the training."""
    metric = result.metric
    before, after = result.steps[0], result.steps[-1]
    gate = scores[(scores["set"] == "gate") & (scores["step"] == after.step)]["score"]
    values = {
        f"test_{metric}_before": before.mean,
        f"test_{metric}_before_ci95": before.ci95,
        f"test_{metric}_after": after.mean,
        f"test_{metric}_after_ci95": after.ci95,
        f"gate_{metric}_after": float(gate.mean()),
        **_summary(meta),
    }
    for shots, other in result.other_shots.items():
        values[f"test_{metric}_after_{shots}shot"] = other.steps[-1].mean
    run.log_metrics(values)
    run.set_tags({"task_set": result.task_set, "evaluated_by": result.commit, "reference": result.reference})


def _summary(meta: Meta) -> dict[str, float]:
    """theta and alpha in numbers that two runs can be compared by."""
    numbers = {"theta_norm": float(torch.cat([value.flatten() for value in meta.theta.values()]).norm())}
    if meta.alpha:
        alpha = torch.cat([value.flatten() for value in meta.alpha.values()])
        numbers["alpha_mean"] = float(alpha.mean())
        numbers["alpha_negative_share"] = float((alpha < 0).float().mean())
    return numbers
