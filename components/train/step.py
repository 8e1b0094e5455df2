"""Meta-train one algorithm with one seed, watched by MLflow."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from components.artifacts.checkpoint import About, write_checkpoint
from components.artifacts.runs import RunRecord
from components.config.machine import machine
from components.config.parsing import to_document
from components.config.settings import Training
from components.console.progress import progress
from components.console.signals import Stop, stoppable
from components.kinds.kind import Hooks, Kind
from components.kinds.table import load_tasks
from components.storage.states import KeptState, open_state
from components.tracking.outbox import Outbox
from components.tracking.runs import TrackedRun, flatten, open_run
from components.train.alarms import Alarms
from components.train.compilation import keep_compiled, say_strategy
from components.train.identity import identity
from components.train.launch import launch, processes
from components.train.usage import system_use
from components.train.watcher import Watcher
from metasgd.configuration import TrpoSettings
from metasgd.learner import Learner
from metasgd.learners import build_learner
from metasgd.loop import Outcome, TrainingDivergedError
from metasgd.own_folder import require_own
from metasgd.parallel import Workers, joined

# Parameters that are the same in nearly every training: how the stored tasks are drawn, and where and how it
# is computed. They are in the checkpoint's file, and not among the columns that trainings are compared by.
SELDOM = ("tasks.stored.", "tasks.seed", *(
    f"train.{key}" for key in ("threads", "processes", "chunk", "compile_from", "device", "validate_every")
))  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One training: what is chosen, the tasks, and the learner that they ask for."""

    training: Training
    tasks: Kind
    learner: Learner

    @staticmethod
    def of(training: Training, tasks: Kind) -> "Job":
        problem = tasks.episodes.manifest.problem
        return Job(training, tasks, build_learner(problem, training.network, training.learner))

    @property
    def name(self) -> str:
        return self.training.title

    @property
    def run_name(self) -> str:
        """What differs from run to run comes first: lists cut names at their end."""
        training = self.training
        return (
            f"{training.algorithm} seed {training.seed}, {training.train.iterations} iterations, "
            f"{training.experiment}"
        )

    @property
    def params(self) -> dict[str, object]:
        """What tells trainings apart, under the keys that change it; all else is in the checkpoint."""
        chosen = flatten({**to_document(self.training), "tasks": to_document(self.tasks.parameters)})
        return {key: value for key, value in chosen.items() if not key.startswith(SELDOM)}

    @property
    def counts(self) -> dict[str, int]:
        """Of the data: stored tasks by set, classes and pictures by split."""
        episodes = self.tasks.episodes
        tasks = {name: len(next(iter(tensors.values()))) for name, tensors in episodes.stored.items()}
        manifest = episodes.manifest
        counted = {"tasks": tasks, "classes": manifest.classes, "images": manifest.images}
        return {f"{key}_{what}": n for what, by in counted.items() for key, n in by.items()}

    @property
    def description(self) -> str:
        """Markdown."""
        return (
            f"**{self.training.algorithm}** meta-trained on **{self.training.experiment}** with seed "
            f"{self.training.seed}: {self.training.train.iterations} iterations. Not scored yet."
        )

    @property
    def tags(self) -> dict[str, str]:
        training = self.training
        return {
            "experiment": training.experiment,
            "algorithm": training.algorithm,
            "seed": str(training.seed),
            "data": self.tasks.episodes.manifest.data,
        }


def train(training: Training, episodes: Path, output: Path, state: Path | None = None) -> None:
    """Write a checkpoint folder (components.artifacts.checkpoint).

    state: a file that keeps the training's whole state until it is over, in place of those of
        `components.storage.stores`: a repeated call continues from there.
    Where several processes train (`components.train.launch`), one of them writes.
    Raises InputError; when the loss diverges, the last good checkpoint is written first. On SIGTERM it raises
    Terminated, as KeyboardInterrupt on Ctrl-C, with words that say what was kept.
    """
    require_own(output, "components.train")
    keep_compiled()
    if (count := processes(training.train)) > 1:
        launch(count, train, training, episodes, output, state)
        return
    with stoppable() as stop, joined(training.train.device) as workers:
        job = Job.of(training, load_tasks(episodes))
        if not workers.leads:
            _follow(job, Hooks(lambda point: None, check=stop.check, workers=workers))
            return
        say_strategy(training, job.name)
        with open_state(job.name, identity(training, job.tasks), state) as kept:
            _lead(job, kept, stop, workers, output)


def _follow(job: Job, hooks: Hooks) -> None:
    """Compute this process's share of every meta-batch, and leave all else to the one that leads."""
    if isinstance(job.training.train, TrpoSettings):  # which nobody shares
        return
    with suppress(TrainingDivergedError):
        job.tasks.fit(job.learner, job.training, hooks)


def _lead(job: Job, kept: KeptState, stop: Stop, workers: Workers, output: Path) -> None:
    # The state comes first: it is safe before the tracking store, which may be slow or away, is told of the
    # end. It is kept until the store knows everything: until then, a repeated command does what is left.
    kind = job.tasks.parameters.kind
    with open_run(kind, job.run_name, job.tags, kept.earlier_run) as run, kept.until_finished(job.name, stop):
        kept.run_id, kept.last = run.run_id, job.training.train.iterations
        run.log_params(job.params)
        run.describe(job.description)
        manifest = job.tasks.episodes.manifest
        run.log_dataset(job.training.experiment, manifest.data, manifest.source, job.counts)
        with Outbox(run, job.name) as outbox:
            watch = Watcher(outbox, job.learner.objective.metric, Alarms(job.name), run.last_steps())
            if kept.found:
                run.set_tags({"continued_from": kept.found.iteration})
                watch.repeat(kept.found)
            try:
                with progress(job.name, job.training.train.iterations) as watch.bar:
                    outcome = job.tasks.fit(
                        job.learner, job.training, Hooks(watch, kept, stop.check, workers)
                    )
            except TrainingDivergedError as error:
                _write(job, error.outcome, output, run, kept.seconds)
                outbox.settle()
                raise
            _write(job, outcome, output, run, kept.seconds)
            run.log_folder(output, "checkpoint")
            outbox.settle()
    kept.discard()


def _write(job: Job, outcome: Outcome, output: Path, run: TrackedRun, seconds: float) -> None:
    about = About(
        training=job.training,
        data=job.tasks.episodes.manifest.data,
        chosen_iteration=outcome.iteration,
        device=outcome.device,
        compiled=outcome.compiled,
        torch=torch.__version__,
        tasks=to_document(job.tasks.parameters),
        preparation=job.tasks.parameters.preparation,
    )
    record = RunRecord(run.run_id, round(seconds, 1), machine=machine())
    write_checkpoint(output, job.learner, outcome, about, record)
    run.set_tags({name: getattr(about, name) for name in ("device", "compiled", "torch")})
    chosen = {"chosen_iteration": outcome.iteration, **_chosen_score(outcome, job.learner.objective.metric)}
    run.log_metrics({**chosen, "seconds": round(seconds, 1), **system_use()})


def _chosen_score(outcome: Outcome, metric: str) -> dict[str, float]:
    """Of the checkpoint on the validation tasks; none where it lies between two validations."""
    points = [point for point in outcome.curve if point.iteration == outcome.iteration]
    scores = [point.validation for point in points if point.validation is not None]
    return {f"validation_{metric}_chosen": score for score in scores}
