"""Meta-train one algorithm with one seed, watched by MLflow."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from components.command import Stop, stoppable
from components.episodes import Episodes, load_episodes
from components.files import whole_folder
from components.parameters import Training, to_json
from components.progress import Progress, progress
from components.tracking import TrackedRun, flatten, open_run
from components.train.alarms import Alarms
from components.train.compilation import keep_compiled, say_strategy
from components.train.launch import launch, processes
from components.train.states import KeptState, code_digest, open_state
from components.train.stopping import checked
from metasgd.adaptation import Learner, Meta
from metasgd.checkpoint import save_checkpoint
from metasgd.configuration import TrpoSettings
from metasgd.evaluation import score
from metasgd.loop import Outcome, Point, Resume, TrainingDivergedError, Watch
from metasgd.parallel import ALONE, Workers, joined
from metasgd.policy_adaptation import mean_returns
from metasgd.reinforcement import meta_train_policy
from metasgd.resume import SavedState
from metasgd.training import meta_train

CURVE, RUN = "curve.csv", "run.json"


def train(training: Training, episodes: Path, output: Path, state: Path | None = None) -> None:
    """Write a checkpoint folder: weights, description, curve.csv, and run.json with the MLflow run's id.

    state: a file that keeps the training's whole state until it is over, in place of those of
        `components.train.stores`: a repeated call continues from there.
    Where several processes train (`components.train.launch`), one of them writes.
    Raises InputError; when the loss diverges, the last good checkpoint is written first. On SIGTERM it raises
    Terminated, as KeyboardInterrupt on Ctrl-C, with words that say what was kept.
    """
    keep_compiled()
    if (count := processes(training.train)) > 1:
        launch(count, train, training, episodes, output, state)
        return
    with stoppable() as stop, joined(training.train.device) as workers:
        data = load_episodes(episodes)
        learner = Learner.build(data.problem, training.network, training.learner)
        if not workers.leads:
            _follow(learner, data, training, workers, stop)
            return
        name = f"{training.experiment} {training.algorithm} seed {training.seed}"
        say_strategy(training, name)
        with open_state(name, _identity(training, data), state) as kept:
            _train(learner, data, training, name, kept, stop, output, workers)


def _follow(learner: Learner, data: Episodes, training: Training, workers: Workers, stop: Stop) -> None:
    """Compute this process's share of every meta-batch, and leave all else to the one that leads."""
    if isinstance(training.train, TrpoSettings):
        return
    with suppress(TrainingDivergedError):
        meta_train(
            learner, checked(data.train, stop.check), lambda meta: 0.0, training.train, training.seed,
            workers=workers,
        )  # fmt: skip


def _train(
    learner: Learner,
    data: Episodes,
    training: Training,
    name: str,
    kept: KeptState,
    stop: Stop,
    output: Path,
    workers: Workers,
) -> None:
    # The state comes first: it is safe before the tracking store, which may be slow, is told of the end.
    tags = _tags(training, data)
    with open_run(data.tasks.kind, name, tags, kept.earlier_run) as run, kept.lasting(name, stop):
        kept.run_id = run.run_id
        run.log_params(_params(training, data))
        watch = _Watcher(run, learner.objective.metric, Alarms(name), run.last_steps())
        if kept.found:
            watch.repeat(kept.found)
        try:
            with progress(name, training.train.iterations) as watch.bar:
                outcome = fit(
                    learner, data, training, watch=watch, resume=kept, check=stop.check, workers=workers
                )
        except TrainingDivergedError as error:
            _write(output, learner, error.outcome, training, data, run, kept.seconds)
            raise
        _write(output, learner, outcome, training, data, run, kept.seconds)
        run.log_folder(output, "checkpoint")


def fit(
    learner: Learner,
    data: Episodes,
    training: Training,
    *,
    watch: Watch,
    resume: Resume | None = None,
    check: Callable[[], None] = lambda: None,
    workers: Workers = ALONE,
) -> Outcome:
    """Meta-train by the algorithm for this kind of task. Raises TrainingDivergedError.

    check: called at the start of every iteration; raises what ends the training there.
    """
    settings, seed, validate = training.train, training.seed, validation_score(learner, data)
    if isinstance(settings, TrpoSettings):
        shots, queries = data.tasks.distribution.shots, data.tasks.distribution.queries
        return meta_train_policy(
            learner, checked(data.control, check), validate, settings, seed,
            shots=shots, queries=queries, watch=watch, resume=resume,
        )  # fmt: skip
    tasks = checked(data.train, check)
    return meta_train(learner, tasks, validate, settings, seed, watch=watch, resume=resume, workers=workers)


def validation_score(learner: Learner, data: Episodes) -> Callable[[Meta], float]:
    """(theta, alpha) -> mean score on the validation tasks, with the shots and steps of meta-training."""
    shots, steps = data.tasks.distribution.shots, learner.settings.steps
    if data.dynamics is not None:
        driven = partial(
            mean_returns, learner, dynamics=data.dynamics, tasks=data.fixed["validation"],
            noise=data.noise("validation"), shots=shots, queries=data.tasks.stored.test_queries, steps=steps,
        )  # fmt: skip
        return lambda meta: float(driven(meta)[:, -1].mean())
    batch = data.batch("validation", shots)
    return lambda meta: float(score(learner, meta, batch, steps=steps)[:, -1].mean())


class _Watcher:
    """Shows every point of the curve, logs it to MLflow, and says aloud what looks wrong.

    logged: metric -> the last step that the run holds.
    """

    bar: Progress

    def __init__(self, run: TrackedRun, metric: str, alarms: Alarms, logged: Mapping[str, int]) -> None:
        self.run, self.metric, self.alarms, self.logged = run, metric, alarms, logged

    def repeat(self, found: SavedState) -> None:
        """Log what an interrupted training saw, so that this run's curves are whole."""
        self.run.set_tags({"continued_from": found.iteration})
        self.run.log_history((point.iteration, self._unlogged(point)) for point in found.curve)

    def _unlogged(self, point: Point) -> dict[str, float]:
        """The values but those that an earlier attempt logged in this run."""
        values = self._values(point)
        return {name: value for name, value in values.items() if point.iteration > self.logged.get(name, -1)}

    def _values(self, point: Point) -> dict[str, float]:
        validation = {} if point.validation is None else {f"validation_{self.metric}": point.validation}
        return {**point.values, **validation}

    def __call__(self, point: Point) -> None:
        values = self._values(point)
        self.run.log_metrics(self._unlogged(point), step=point.iteration)
        self.bar(point.iteration, {name: value for name, value in values.items() if _is_shown(name)})
        for line in self.alarms(point):
            print(line, flush=True)


def _is_shown(name: str) -> bool:
    """Whether a value has a place beside the bar; MLflow keeps all."""
    return name in ("train_loss", "return_before", "return_after") or name.startswith("validation")


def _write(
    output: Path,
    learner: Learner,
    outcome: Outcome,
    training: Training,
    data: Episodes,
    run: TrackedRun,
    seconds: float,
) -> None:
    about = {
        "training": to_json(training),
        "data": data.manifest["data"],
        "chosen_iteration": outcome.iteration,
        "seconds": round(seconds, 1),
        "device": outcome.device,
        "compiled": outcome.compiled,
        "torch": torch.__version__,
    }
    with whole_folder(output) as folder:
        save_checkpoint(folder, learner, outcome.meta, about)
        _curve(outcome).to_csv(folder / CURVE, index=False)
        (folder / RUN).write_text(json.dumps({"run_id": run.run_id}) + "\n")
    run.set_tags({key: about[key] for key in ("chosen_iteration", "seconds", "device", "compiled", "torch")})


def _curve(outcome: Outcome) -> pd.DataFrame:
    """Columns iteration, one per measured value, validation (empty between validations)."""
    rows = [
        {"iteration": point.iteration, **point.values, "validation": point.validation}
        for point in outcome.curve
    ]
    # A curve that diverged at once has no points.
    return pd.DataFrame(rows, columns=None if rows else ["iteration", "validation"])


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
    """What a resume state belongs to: parameters, data and code."""
    chosen = f"{to_json(training)} {to_json(data.tasks)} {data.manifest['data']} {code_digest()}"
    return hashlib.sha256(chosen.encode()).hexdigest()
