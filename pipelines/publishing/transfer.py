"""python -m pipelines.publishing.transfer --experiments A B: what `make transfer` does.

Scores the published models of every experiment on the stored tasks of every other one whose tasks have the
same shape, and writes results/<experiment>/<algorithm>-on-<other>.json.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from rich.console import Console

from components.artifacts.checkpoint import load_trained
from components.config.code import ROOT
from components.config.environment import LOCAL
from components.console.command import run_command
from components.kinds.experiment import Experiment, load_experiments
from components.kinds.table import KINDS, load_tasks
from components.scoring.step import score_lane
from metasgd.errors import InputError
from pipelines.publishing.publish import clean_commit, measured
from pipelines.publishing.record import Record, model_folder, records, write_record
from pipelines.publishing.trainings import drawn


def main() -> None:
    options = _parser().parse_args()
    commit, command = clean_commit(), f"make transfer EXPERIMENTS='{' '.join(options.experiments)}'"
    for record, other in _pairs(options.experiments):
        path = transfer(record, other, command, commit)
        Console().print(f"wrote {path.relative_to(ROOT)}", soft_wrap=True)


def transfer(
    record: Record,
    other: Experiment,
    command: str,
    commit: str,
    root: Path = ROOT,
    kept: Path = LOCAL / "published",
) -> Path:
    """Score the record's models on the tasks of `other`; returns the record that it wrote.

    Raises InputError for tasks of another shape.
    """
    episodes, results = drawn(other.tasks, kept), kept / f"transfer-{record.experiment}-{other.name}"
    folders = [model_folder(record.experiment, name, root) for name in record.models]
    score_lane(KINDS[other.kind].scored_by, folders, episodes, results)
    problem = load_tasks(episodes).episodes.manifest.problem
    models = {seed: load_trained(folder, problem) for seed, folder in zip(record.seeds, folders, strict=True)}
    found = measured(models, results, command, commit)
    # What a training took is known where it was trained.
    return write_record(replace(found, scored_on=other.name, seconds=record.seconds), root)


def _pairs(names: Sequence[str]) -> Iterator[tuple[Record, Experiment]]:
    published = [record for record in records() if record.scored_on is None]
    if missing := [name for name in names if name not in {record.experiment for record in published}]:
        raise InputError(f"EXPERIMENTS {missing[0]!r} is not published; expected one that is in models/")
    experiments = {one.name: one for one in load_experiments(names)}
    for trained, scored in permutations(names, 2):
        for record in published:
            if record.experiment == trained:
                yield record, experiments[scored]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.publishing.transfer",
        description="Score published models on the tasks of each other's experiments.",
    )
    parser.add_argument("--experiments", nargs="+", required=True, help="two or more that are published")
    return parser


if __name__ == "__main__":
    run_command(main)
