"""Prepare trainings for a machine with a GPU: python -m benchmarks.gpu.pack [omniglot-5way-1shot …]

Runs on an ordinary machine, where the project is installed. Writes .local/gpu/<experiment>/, all of what
`benchmarks.gpu.train` reads: the pictures of meta-training, the validation tasks, and what was chosen.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from benchmarks.gpu.prepared import ARRAYS, CHOSEN, PREPARED
from components.config.code import ROOT, tree_digest
from components.config.parsing import to_document
from components.console.command import run_command
from components.kinds.experiment import Experiment, load_experiment
from components.kinds.images import Images
from components.kinds.kind import Kind
from components.kinds.table import load_tasks
from components.train.identity import CODE
from components.train.step import Job
from metasgd.files import write_atomically
from metasgd.own_folder import own_folder
from pipelines.publishing.trainings import KEPT, drawn

# What each experiment is asked on a GPU: longer trainings, on more tasks.
ASKED = {
    "omniglot-5way-1shot": ["train.iterations=60000", "train.meta_batch=32", "train.validate_every=2000"],
    "omniglot-20way-1shot": ["train.iterations=60000", "train.validate_every=2000"],
    "miniimagenet-5way-1shot": ["train.validate_every=2000"],
    "miniimagenet-5way-5shot": ["train.validate_every=2000"],
    "navigation": [],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.pack", description="Prepare trainings for a machine with a GPU."
    )
    parser.add_argument("experiments", nargs="*", default=list(ASKED), help="of params.yaml")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], help="as in SET of the Makefile")
    parser.add_argument("--output", type=Path, default=PREPARED)
    options = parser.parse_args()
    for name in options.experiments:
        folder = pack(name, [*ASKED.get(name, []), *options.overrides], options.output)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        print(f"wrote {folder} ({size:.1f} MiB)")


def pack(name: str, overrides: Sequence[str], output: Path, kept: Path = KEPT) -> Path:
    """Returns the folder. kept: where episodes are kept, for publication to find them again.

    Raises InputError, as for an experiment whose data is not in place.
    """
    experiment = load_experiment(name, overrides)
    tasks = load_tasks(drawn(experiment.tasks, kept))
    arrays = {f"validation/{key}": value for key, value in tasks.episodes.stored["validation"].items()}
    if isinstance(tasks, Images):
        arrays |= {
            key: value for key, value in tasks.episodes.images().items() if not key.startswith("test/")
        }
    with own_folder(output / name, "benchmarks.gpu.pack") as folder:
        write_atomically(folder / ARRAYS, save(arrays))
        chosen = json.dumps(_chosen(experiment, tasks, overrides), indent=2)
        write_atomically(folder / CHOSEN, (chosen + "\n").encode())
    return output / name


def _chosen(experiment: Experiment, tasks: Kind, overrides: Sequence[str]) -> dict[str, object]:
    """ways: classes of a task in meta-training."""
    trainings = {training.algorithm: training for training in experiment.trainings([0])}
    manifest = tasks.episodes.manifest
    return {
        "overrides": list(overrides),
        "code": {"places": CODE, "digest": tree_digest(ROOT, CODE, "*.py")},
        "data": manifest.data,
        "problem": asdict(manifest.problem),
        "tasks": to_document(tasks.parameters),
        "preparation": to_document(tasks.parameters.preparation),
        "trainings": {algorithm: to_document(training) for algorithm, training in trainings.items()},
        "ways": {algorithm: _ways(Job.of(training, tasks)) for algorithm, training in trainings.items()},
    }


def _ways(job: Job) -> int:
    if not isinstance(job.tasks, Images):
        return job.learner.problem.outputs
    return job.tasks.in_training(job.learner, torch.device("cpu"))[0].problem.outputs


if __name__ == "__main__":
    run_command(main)
