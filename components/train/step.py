"""Meta-train one algorithm with one seed, watched by MLflow."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
import torch

from components.episodes import Episodes, load_episodes
from components.files import whole_folder
from components.parameters import Training, to_json
from components.progress import Progress, progress
from components.tracking import TrackedRun, flatten, open_run
from metasgd.adaptation import Learner, Meta
from metasgd.checkpoint import save_checkpoint
from metasgd.evaluation import score
from metasgd.resume import ResumeFile
from metasgd.training import Outcome, Point, TrainingDivergedError, compiles, has_compiler, meta_train

CURVE, RUN = "curve.csv", "run.json"


def train(training: Training, episodes: Path, output: Path, state: Path | None = None) -> None:
    """Write a checkpoint folder: weights, description, curve.csv, and run.json with the MLflow run's id.

    state: a file that holds the training's whole state, so that a repeated call continues.
    Raises InputError; when the loss diverges, the last good checkpoint is written first.
    """
    data = load_episodes(episodes)
    learner = Learner.build(data.problem, training.network, training.learner)
    name = f"{training.experiment} {training.algorithm} seed {training.seed}"
    _say_strategy(training, name)
    with open_run(data.tasks.kind, name, _tags(training, data)) as run:
        run.log_params(_params(training, data))
        started = time.monotonic()
        try:
            outcome = _meta_train(learner, data, training, run, name, state)
        except TrainingDivergedError as error:
            _write(output, learner, error.outcome, training, data, run, started)
            raise
        _write(output, learner, outcome, training, data, run, started)
        run.log_folder(output, "checkpoint")


def _meta_train(
    learner: Learner, data: Episodes, training: Training, run: TrackedRun, name: str, state: Path | None
) -> Outcome:
    validate = validation_score(learner, data)
    with progress(name, training.train.iterations) as bar:
        watch = _Watcher(run, bar, learner.objective.metric)
        resume = ResumeFile(state, _identity(training, data)) if state else None
        return meta_train(
            learner, data.train, validate, training.train, training.seed, watch=watch, resume=resume
        )


def validation_score(learner: Learner, data: Episodes) -> Callable[[Meta], float]:
    """(theta, alpha) -> mean score on the validation tasks, with the shots and steps of meta-training."""
    batch = data.batch("validation", data.tasks.distribution.shots)

    def validate(meta: Meta) -> float:
        return float(score(learner, meta, batch, steps=learner.settings.steps)[:, -1].mean())

    return validate


class _Watcher:
    """Shows every point of the curve, and logs it to MLflow."""

    def __init__(self, run: TrackedRun, bar: Progress, metric: str) -> None:
        self.run, self.bar, self.metric = run, bar, metric

    def __call__(self, point: Point) -> None:
        values = {"train_loss": point.train_loss}
        if point.validation is not None:
            values[f"validation_{self.metric}"] = point.validation
        self.run.log_metrics(values, step=point.iteration)
        self.bar(point.iteration, values)


def _write(
    output: Path,
    learner: Learner,
    outcome: Outcome,
    training: Training,
    data: Episodes,
    run: TrackedRun,
    started: float,
) -> None:
    about = {
        "training": to_json(training),
        "data": data.manifest["data"],
        "chosen_iteration": outcome.iteration,
        "seconds": round(time.monotonic() - started, 1),
        "device": outcome.device,
        "compiled": outcome.compiled,
        "torch": torch.__version__,
    }
    with whole_folder(output) as folder:
        save_checkpoint(folder, learner, outcome.meta, about)
        columns = [field.name for field in fields(Point)]  # a curve that diverged at once has no points
        curve = pd.DataFrame([asdict(point) for point in outcome.curve], columns=columns)
        curve.to_csv(folder / CURVE, index=False)
        (folder / RUN).write_text(json.dumps({"run_id": run.run_id}) + "\n")
    run.set_tags({key: about[key] for key in ("chosen_iteration", "seconds", "device", "compiled", "torch")})


def read_run_id(checkpoint: Path) -> str | None:
    """The MLflow run of a checkpoint's training, where that is known."""
    path = checkpoint / RUN
    return json.loads(path.read_text())["run_id"] if path.exists() else None


def _params(training: Training, data: Episodes) -> dict[str, object]:
    """Everything that was chosen, under the keys that change it."""
    chosen = json.loads(to_json(training))
    tasks = json.loads(to_json(data.tasks))
    return flatten({**chosen, "tasks": tasks})


def _tags(training: Training, data: Episodes) -> dict[str, str]:
    return {
        "experiment": training.experiment,
        "algorithm": training.algorithm,
        "seed": str(training.seed),
        "data": data.manifest["data"],
    }


def _identity(training: Training, data: Episodes) -> str:
    """What a resume state belongs to."""
    chosen = f"{to_json(training)} {to_json(data.tasks)} {data.manifest['data']}"
    return hashlib.sha256(chosen.encode()).hexdigest()


def _say_strategy(training: Training, name: str) -> None:
    settings = training.train
    if compiles(settings):
        print(f"{name}: compiles the meta-gradient first, which takes about half a minute", flush=True)
    elif settings.iterations >= settings.compile_from and not has_compiler():
        print(f"{name}: no C++ compiler with Python's headers here, so it runs eagerly", flush=True)
