"""Trainings that a repeated command takes from the last time, by what was chosen, tasks, data and code."""

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path

from components.artifacts.checkpoint import CURVE, load_trained
from components.artifacts.episodes import Manifest, read_episodes
from components.artifacts.runs import RUN, RunRecord, write_run
from components.config.code import ROOT, tree_digest
from components.config.environment import LOCAL
from components.config.parsing import from_json, to_json
from components.config.settings import TaskSettings, Training
from components.kinds.table import KINDS, task_settings
from components.preprocess.step import preprocess
from components.train.identity import CODE, code_digest
from components.train.step import train
from metasgd.checkpoint import ABOUT, WEIGHTS, load_checkpoint
from metasgd.errors import InputError
from metasgd.own_folder import own_folder

KEPT = LOCAL / "published"  # from one command to the next
ELSEWHERE = "trained-elsewhere"  # in place of the MLflow run of a training that no store has


def drawn(tasks: TaskSettings, root: Path, strict: bool = False) -> Path:
    """The episodes folder of these tasks, below `root`, drawn anew once in a process.

    strict: what is odd about the data is an error.
    """
    return _drawn(to_json(tasks), tasks.kind, root, strict)


@cache
def _drawn(tasks: str, kind: str, root: Path, strict: bool) -> Path:
    episodes = root / f"episodes-{_digest(tasks)}"
    preprocess(from_json(KINDS[kind].schema, tasks), episodes, strict=strict)
    return episodes


def trained(training: Training, episodes: Path, root: Path) -> Path:
    """The checkpoint folder of this training, below `root`: one that was interrupted continues.

    Raises TrainingDivergedError; what such a training leaves is not taken for a finished one.
    """
    checkpoint = _place(training, read_episodes(episodes).manifest, root)
    if not checkpoint.exists():
        unfinished = checkpoint.with_suffix(".unfinished")
        train(training, episodes, unfinished)
        unfinished.rename(checkpoint)
    return checkpoint


def adopt(folder: Path, code: str, seconds: float, root: Path) -> Path:
    """Take a checkpoint that another machine trained, so that `trained` finds it. Returns its place.

    folder: as the train step leaves it. code, seconds: digest of the code that trained it, and what it took.
    Raises InputError for one that is damaged, or of other code or data than are here.
    """
    if tree_digest(ROOT, CODE, "*.py") != code:
        raise InputError(f"{folder}: was trained by other code; expected that of {ROOT}")
    learner, _, about = load_checkpoint(folder)
    episodes = drawn(task_settings(about.get("tasks"), str(folder)), root)
    manifest = read_episodes(episodes).manifest
    found = load_trained(folder, learner.problem)
    if found.about.data != manifest.data:
        raise InputError(
            f"{folder}: was trained on data {found.about.data[:12]}; here is {manifest.data[:12]}"
        )
    place = _place(found.about.training, manifest, root)
    with own_folder(place, "components.train", passing=[RUN]) as copy:
        for name in (WEIGHTS, ABOUT, CURVE):
            shutil.copy(folder / name, copy / name)
        write_run(copy / RUN, RunRecord(ELSEWHERE, seconds, found.weights))
    return place


def _place(training: Training, manifest: Manifest, root: Path) -> Path:
    chosen = _digest(to_json(training), json.dumps(manifest.tasks), manifest.data, code_digest())
    return root / f"{training.experiment}-{training.name}-{chosen}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
