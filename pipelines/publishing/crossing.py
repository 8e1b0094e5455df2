"""Published models on the stored tasks of other experiments."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.artifacts.checkpoint import load_trained
from components.config.code import ROOT
from components.kinds.experiment import Experiment, load_experiments
from components.kinds.table import KINDS, load_tasks
from components.scoring.step import score_lane
from metasgd.errors import InputError
from pipelines.publishing.publication import measured
from pipelines.publishing.record import Record, model_folder, records, write_record
from pipelines.publishing.trainings import KEPT, drawn


def transfer(
    record: Record,
    other: Experiment,
    command: str,
    commit: str,
    root: Path = ROOT,
    kept: Path = KEPT,
) -> Path:
    """Score the record's models on the tasks of `other`; returns the record that it wrote.

    Raises InputError for tasks of another shape.
    """
    episodes, results = drawn(other.tasks, kept), kept / f"transfer-{record.experiment}-{other.name}"
    folders = [model_folder(record.experiment, name, root) for name in record.models]
    score_lane(KINDS[other.kind].scored_by, folders, episodes, results)
    problem = load_tasks(episodes).episodes.manifest.problem
    models = {seed: load_trained(folder, problem) for seed, folder in zip(record.seeds, folders, strict=True)}
    found = measured(models, other.tasks, results, command, commit)
    # What a training took is known where it was trained.
    return write_record(replace(found, scored_on=other.name, seconds=record.seconds), root)


def pairs(names: Sequence[str], root: Path = ROOT) -> list[tuple[Record, Experiment]]:
    """Every published record of these experiments, with every other experiment of them.

    Raises InputError for fewer than two experiments, and where none of them is published.
    """
    if len(set(names)) < max(2, len(names)):
        raise InputError(f"EXPERIMENTS is {list(names)}; expected two or more, each once")
    experiments = load_experiments(names)
    published = [one for one in records(root) if one.experiment in names and one.scored_on is None]
    if not published:
        raise InputError(f"EXPERIMENTS {list(names)}: none is published; expected one that is in models/")
    return [(one, other) for one in published for other in experiments if other.name != one.experiment]
