"""An experiment, measured: its record in results/, and its models in models/.

Trains (or takes from the last time) every algorithm and seed, and scores them by the steps.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from components.artifacts.checkpoint import CURVE, Trained, load_trained
from components.artifacts.results import Result, read_json, read_scores
from components.config.code import ROOT, git
from components.config.machine import machine
from components.config.parsing import to_document
from components.config.settings import TaskSettings
from components.kinds.experiment import Experiment
from components.kinds.table import KINDS, load_tasks
from components.promote.card import model_card
from components.scoring.step import score_lane
from metasgd.checkpoint import ABOUT, WEIGHTS
from metasgd.errors import InputError
from metasgd.own_folder import own_folder
from pipelines.publishing.numbers import numbers, worth
from pipelines.publishing.record import Record, model_folder, withdraw, write_record
from pipelines.publishing.trainings import KEPT, drawn, trained

CODE = ("metasgd", "components", "pipelines", "params.yaml", "requirements.txt")


def publish(
    experiment: Experiment,
    seeds: Sequence[int],
    command: str,
    commit: str,
    first: int | None = None,
    strict: bool = False,
    root: Path = ROOT,
    kept: Path = KEPT,
) -> list[Path]:
    """Returns the records that it wrote below `root`, one for every algorithm.

    They replace all that was published of these algorithms: a record counts with the weights that it names.

    command, commit: what the records say of their origin. first: also score the first so many tasks alone.
    strict: what is odd about the data is an error. kept: where trainings are kept from one time to the next.
    """
    episodes = drawn(experiment.tasks, kept, strict)
    folders = [trained(training, episodes, kept) for training in experiment.trainings(seeds)]
    results = kept / f"results-{experiment.name}"
    score_lane(KINDS[experiment.kind].scored_by, folders, episodes, results)
    problem = load_tasks(episodes).episodes.manifest.problem
    models = [load_trained(folder, problem) for folder in folders]
    measurements = []
    for algorithm in experiment.compare:
        own = {
            model.about.training.seed: model
            for model in models
            if model.about.training.algorithm == algorithm
        }
        record = measured(own, experiment.tasks, results, command, commit, first)
        measurements.append((record, list(own.values())))
    return [_written(record, own, results, root) for record, own in measurements]


def _written(record: Record, models: Sequence[Trained], results: Path, root: Path) -> Path:
    withdraw(record.experiment, record.algorithm, root)
    for model in models:
        _write_model(model, read_json(Result, results / f"{model.name}.json"), root)
    return write_record(record, root)


def measured(
    models: Mapping[int, Trained],
    tasks: TaskSettings,
    results: Path,
    command: str,
    commit: str,
    first: int | None = None,
) -> Record:
    """models: of one algorithm, by seed. tasks: what they were scored on; results: the scores' folder."""
    about = next(iter(models.values())).about
    names = [model.name for model in models.values()]
    result = read_json(Result, results / f"{names[0]}.json")
    scores = {seed: read_scores(results / f"{model.name}.parquet") for seed, model in models.items()}
    return Record(
        experiment=result.experiment,
        algorithm=result.algorithm,
        seeds=list(models),
        metric=result.metric,
        higher_is_better=result.higher_is_better,
        adapted=result.adapted,
        command=command,
        commit=commit,
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        torch=torch.__version__,
        data=result.data,
        task_sets={shots: found.task_set for shots, found in result.scores().items()},
        tasks=to_document(tasks),
        network=result.network,
        learner=result.learner,
        train=to_document(about.training)["train"],
        notes=result.notes,
        weights=[model.weights for model in models.values()],
        chosen_iterations=[model.about.chosen_iteration for model in models.values()],
        seconds=[model.run.seconds if model.run else None for model in models.values()],
        numbers=list(numbers(scores, first)),
        worth=list(worth(scores, result.adapted, result.higher_is_better)),
    )


def _write_model(model: Trained, result: Result, root: Path) -> None:
    """The checkpoint, without what belongs to this machine, and its card."""
    place = model_folder(result.experiment, model.name, root)
    name = place.relative_to(root)
    with own_folder(place, "pipelines.publishing.publish") as folder:
        for file in (WEIGHTS, ABOUT, CURVE):
            shutil.copy(model.folder / file, folder / file)
        card = model_card(model, result, use=f"make predict MODEL={name}")
        (folder / "README.md").write_text(card + "\n", encoding="utf-8")


def clean_commit() -> str:
    """Raises InputError where the code is no commit's: nobody could measure its numbers again."""
    commit = git(ROOT, "rev-parse", "HEAD")
    if commit is None:
        raise InputError(f"{ROOT} is no git checkout; expected one: numbers are published of a commit")
    if git(ROOT, "status", "--porcelain", "--", *CODE):
        raise InputError(f"{ROOT}: the code differs from its commit; expected it committed, to publish of it")
    return commit
