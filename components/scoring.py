"""Score every checkpoint of a lane on stored tasks: what evaluate and rollout share.

The results folder holds, per checkpoint, <algorithm>-seed<seed>.json (a Result), the per-task scores
as parquet, and pictures/<algorithm>-seed<seed>/; metrics.json is what DVC and KFP show.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from torch import Tensor

from components.episodes import Episodes, load_episodes
from components.files import whole_folder
from components.parameters import Training, from_json, to_json
from components.pictures import alpha_by_layer, alpha_table, save
from components.results import Result, Score, ShotScores, TrainingRecord, read_json
from components.statistics import half_width
from components.tracking import TrackedRun, connect, find_run, git_commit, open_run
from components.train.step import read_run_id
from metasgd.adaptation import Learner, Meta
from metasgd.checkpoint import load_checkpoint
from metasgd.configuration import ConvNetSettings, PolicySettings
from metasgd.errors import InputError

METRICS = "metrics.json"
THREADS = 2  # fixed, because the order of additions decides the last bits of a score


@dataclass(frozen=True)
class Trained:
    """A checkpoint, loaded. training: the parameters it was trained with."""

    checkpoint: Path
    learner: Learner
    meta: Meta
    training: Training
    about: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.training.algorithm}-seed{self.training.seed}"


class Judge(Protocol):
    """How the tasks of a kind are scored and shown."""

    def scores(self, learner: Learner, meta: Meta, data: Episodes) -> pd.DataFrame:
        """Per-task scores: columns set, shots, task, step, score."""
        ...

    def draw(self, trained: Trained, data: Episodes, folder: Path) -> None:
        """The pictures of one checkpoint, into an existing folder."""
        ...

    def draw_lane(self, lane: Sequence[Trained], episodes: Path, data: Episodes, folder: Path) -> list[Path]:
        """What shows the lane as a whole, into the results folder; returns what every run keeps, too."""
        ...


def score_lane(checkpoints: Sequence[Path], episodes: Path, output: Path, judge: Judge) -> None:
    """Write the results folder, whole or not at all.

    Raises InputError for a checkpoint that is damaged or was trained for another kind of task.
    """
    data = load_episodes(episodes)
    lane = [_load(checkpoint, data) for checkpoint in checkpoints]
    with whole_folder(output) as folder:
        (folder / "pictures").mkdir()
        shown = judge.draw_lane(lane, episodes, data, folder)
        for trained in lane:
            _score(trained, data, judge, folder, shown)
        (folder / METRICS).write_text(json.dumps(headline(folder), indent=2) + "\n")


def _load(checkpoint: Path, data: Episodes) -> Trained:
    learner, meta, about = load_checkpoint(checkpoint)
    if learner.problem != data.problem:
        raise InputError(f"{checkpoint}: was trained for {learner.problem}; expected {data.problem}")
    if "training" not in about:
        raise InputError(
            f"{checkpoint}: holds no training's parameters; expected an output of the train step"
        )
    training = from_json(Training, about["training"], str(checkpoint))
    return Trained(checkpoint, learner, meta, training, about)


def headline(folder: Path) -> dict[str, float]:
    """Scores before and after adaptation of every algorithm and seed: what DVC and KFP show."""
    values = {}
    for result in (read_json(Result, path) for path in sorted(folder.glob("*-seed*.json"))):
        name = f"{result.algorithm}-seed{result.seed}-{result.metric}"
        values[f"{name}-before"] = result.steps[0].mean
        values[f"{name}-after"] = result.after.mean
        values[f"{name}-after-ci95"] = result.after.ci95
    return values


def score_table(name: str, shots: int, scores: Tensor) -> pd.DataFrame:
    """Scores [tasks, steps + 1] as rows: columns set, shots, task, step, score."""
    tasks, steps = scores.shape
    return pd.DataFrame(
        {
            "set": name,
            "shots": shots,
            "task": torch.arange(tasks).repeat_interleave(steps).numpy(),
            "step": torch.arange(steps).repeat(tasks).numpy(),
            "score": scores.flatten().double().numpy(),
        }
    )


def draw_alpha(meta: Meta, folder: Path) -> None:
    """What became of alpha: as a picture, and as a table."""
    if meta.alpha:
        alpha = {name: value.numpy() for name, value in meta.alpha.items()}
        save(alpha_by_layer(alpha), folder / "alpha.svg")
        alpha_table(alpha).to_csv(folder / "alpha.csv", index=False)


def _score(trained: Trained, data: Episodes, judge: Judge, folder: Path, shown: Sequence[Path]) -> None:
    scores = judge.scores(trained.learner, trained.meta, data)
    with _run_of(trained, data) as run:
        result = _result(trained, data, scores, run.run_id)
        (folder / f"{trained.name}.json").write_text(to_json(result) + "\n")
        scores.to_parquet(folder / f"{trained.name}.parquet", index=False)
        pictures = folder / "pictures" / trained.name
        pictures.mkdir()
        judge.draw(trained, data, pictures)
        _log(run, result, scores, trained.meta)
        run.log_folder(pictures, "pictures")
        for file in shown:
            run.log_file(file, "pictures")


def _result(trained: Trained, data: Episodes, scores: pd.DataFrame, run_id: str) -> Result:
    training, learner, about = trained.training, trained.learner, trained.about
    by_shots = {shots: _shot_scores(scores, data, shots) for shots in data.tasks.stored.test_shots}
    reported = by_shots.pop(data.shots)
    parameters = sum(value.numel() for value in trained.meta.theta.values())
    return Result(
        experiment=training.experiment,
        algorithm=training.algorithm,
        seed=training.seed,
        metric=learner.objective.metric,
        higher_is_better=learner.objective.higher_is_better,
        task_set=reported.task_set,
        tasks=reported.tasks,
        shots=data.shots,
        adapted=learner.settings.test_steps,
        data=data.manifest["data"],
        commit=git_commit(),
        steps=reported.steps,
        other_shots=by_shots,
        reference=learner.settings.is_reference,
        learner=asdict(training.learner),
        network={**asdict(training.network), "parameters": parameters},
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
    match training.network:
        case ConvNetSettings(filters=filters, transductive=transductive):
            statistics = "the whole query batch (transductive)" if transductive else "the support set"
            return [f"{filters} filters", f"batch norm of queries by the statistics of {statistics}"]
        case PolicySettings(std=std):
            return [f"the policy's standard deviation starts at {std} and is learned"]
        case _:
            return []


@contextmanager
def _run_of(trained: Trained, data: Episodes) -> Iterator[TrackedRun]:
    """The MLflow run of the checkpoint's training; where this store lacks it, a new one, linked."""
    known = read_run_id(trained.checkpoint)
    run = find_run(connect(), known)
    if run is not None:
        yield run
        return
    training = trained.training
    name = f"{training.experiment} {training.algorithm} seed {training.seed} (evaluation)"
    with open_run(data.tasks.kind, name, {"training_run": str(known)}) as run:
        yield run


def _log(run: TrackedRun, result: Result, scores: pd.DataFrame, meta: Meta) -> None:
    """One row in the MLflow UI says all: metrics and tags join the run of the training."""
    metric = result.metric
    before, after = result.steps[0], result.after
    gate = scores[(scores["set"] == "gate") & (scores["step"] == result.adapted)]["score"]
    values = {
        f"test_{metric}_before": before.mean,
        f"test_{metric}_before_ci95": before.ci95,
        f"test_{metric}_after": after.mean,
        f"test_{metric}_after_ci95": after.ci95,
        f"gate_{metric}_after": float(gate.mean()),
        **_summary(meta),
    }
    for further in result.steps:
        if further.step > result.adapted:
            values[f"test_{metric}_after_{further.step}steps"] = further.mean
    for shots, other in result.other_shots.items():
        values[f"test_{metric}_after_{shots}shot"] = other.at(result.adapted).mean
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
