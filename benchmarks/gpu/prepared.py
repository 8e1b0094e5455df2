"""A training that `benchmarks.gpu.pack` prepared, with no library but torch, NumPy and safetensors.

What it fits is what `components.train` would: tests compare the two, bit for bit.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.config.code import ROOT, tree_digest
from metasgd.checkpoint import described_learner, read_tensors, settings_from
from metasgd.configuration import EpisodeSettings, NavigationSettings, TrainingSettings, TrpoSettings
from metasgd.errors import InputError
from metasgd.evaluation import score
from metasgd.learner import Learner, Meta
from metasgd.loop import Outcome, Resume, Watch, pick_device
from metasgd.own_folder import require_whole
from metasgd.policy_adaptation import Environments, Plan, mean_returns
from metasgd.reinforcement import meta_train_policy
from metasgd.seeds import generator
from metasgd.tasks.images import ClassIndex, ImageEpisodes, with_rotations
from metasgd.tasks.navigation import Navigation
from metasgd.training import meta_train

PREPARED = Path(".local/gpu")  # a folder for every experiment
CHOSEN, ARRAYS = "chosen.json", "arrays.safetensors"
Fit = Callable[[Watch, Resume | None], Outcome]


@dataclass(frozen=True)
class Job:
    """One algorithm and seed. training: all that was chosen of it, as JSON's own objects."""

    training: Mapping[str, Any]
    chosen: Mapping[str, Any]
    arrays: Mapping[str, Tensor]
    learner: Learner
    settings: TrainingSettings | TrpoSettings

    @property
    def name(self) -> str:
        return f"{self.training['experiment']}-{self.training['algorithm']}-seed{self.seed}"

    @property
    def seed(self) -> int:
        return int(self.training["seed"])

    def fit(self, watch: Watch, resume: Resume | None) -> Outcome:
        """Meta-train. Raises TrainingDivergedError."""
        return FITS[self.chosen["tasks"]["kind"]](self)(watch, resume)

    def stored(self) -> dict[str, Tensor]:
        """The validation tasks."""
        start = "validation/"
        own = {key.removeprefix(start): value for key, value in self.arrays.items() if key.startswith(start)}
        return {key: value for key, value in own.items() if key not in ("images", "sizes")}


def read_job(
    folder: Path, algorithm: str, seed: int, device: str | None = None, iterations: int | None = None
) -> Job:
    """device, iterations: in place of what was chosen; the device is no part of what is remembered.

    Raises InputError for a folder that is missing, damaged, or of other code.
    """
    if not (folder / CHOSEN).is_file():
        raise InputError(f"{folder}: is not prepared; expected a folder of python -m benchmarks.gpu.pack")
    require_whole(folder)
    chosen = json.loads((folder / CHOSEN).read_text())
    if tree_digest(ROOT, chosen["code"]["places"], "*.py") != chosen["code"]["digest"]:
        raise InputError(f"{folder}: was prepared by other code; expected that of {ROOT}: prepare it again")
    if algorithm not in chosen["trainings"]:
        known = ", ".join(chosen["trainings"])
        raise InputError(f"{folder}: algorithm {algorithm!r} is not prepared; expected one of {known}")
    training = {**chosen["trainings"][algorithm], "seed": seed}
    if iterations is not None:
        training["train"] = {**training["train"], "iterations": iterations}
    learner = described_learner({**training, "problem": chosen["problem"]})
    kind = TrpoSettings if training["train"]["optimiser"] == "trpo" else TrainingSettings
    settings = settings_from(kind, training["train"])
    settings = replace(settings, device=device or settings.device)
    return Job(training, chosen, read_tensors(folder / ARRAYS), learner, settings)


def _pictures(job: Job) -> Fit:
    tasks, source = job.chosen["tasks"], job.chosen["tasks"]["source"]
    device, settings = pick_device(job.settings.device), EpisodeSettings(**tasks["distribution"])

    def episodes(split: str, turned: bool) -> ImageEpisodes:
        images, sizes = job.arrays[f"{split}/images"].to(device), job.arrays[f"{split}/sizes"]
        index = ClassIndex.of(sizes)
        return ImageEpisodes(settings, *(with_rotations(images, index) if turned else (images, index)))

    validation = episodes("train" if source["final"] else "validation", source["rotate_test"])
    batch = validation.stored_batch(job.stored(), settings.shots, tasks["stored"]["test_queries"])
    ways = job.chosen["ways"][job.training["algorithm"]]
    learner = replace(job.learner, problem=replace(job.learner.problem, outputs=ways))
    train = episodes("train", source["rotations"])
    train = replace(train, settings=replace(settings, ways=ways))

    def validate(meta: Meta) -> float:
        return float(score(job.learner, meta, batch, steps=job.learner.settings.steps)[:, -1].mean())

    return lambda watch, resume: meta_train(
        learner, train, validate, job.settings, job.seed, watch=watch, resume=resume
    )


def _policies(job: Job) -> Fit:
    tasks = job.chosen["tasks"]
    distribution = settings_from(NavigationSettings, tasks["distribution"])
    dynamics, shots = Navigation(distribution), distribution.shots
    environments = Environments(dynamics, job.stored())
    plan = Plan(shots, tasks["stored"]["test_queries"], job.learner.settings.steps)

    def noise(chunk: int) -> torch.Generator:
        return generator(tasks["seed"], f"validation noise {chunk}")

    def validate(meta: Meta) -> float:
        return float(mean_returns(job.learner, meta, environments, plan, noise)[:, -1].mean())

    return lambda watch, resume: meta_train_policy(
        job.learner, dynamics, validate, job.settings, job.seed, shots=shots, queries=distribution.queries,
        watch=watch, resume=resume,
    )  # fmt: skip


FITS: dict[str, Callable[[Job], Fit]] = {"images": _pictures, "control": _policies}
