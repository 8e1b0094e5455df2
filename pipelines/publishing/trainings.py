"""Trainings that a repeated command takes from the last time, by what was chosen, tasks, data and code."""

import hashlib
import json
from functools import cache
from pathlib import Path

from components.artifacts.episodes import read_episodes
from components.config.environment import LOCAL
from components.config.parsing import from_json, to_json
from components.config.settings import TaskSettings, Training
from components.kinds.table import KINDS
from components.preprocess.step import preprocess
from components.train.identity import code_digest
from components.train.step import train

KEPT = LOCAL / "published"  # from one command to the next


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
    manifest = read_episodes(episodes).manifest
    chosen = _digest(to_json(training), json.dumps(manifest.tasks), manifest.data, code_digest())
    checkpoint = root / f"{training.experiment}-{training.name}-{chosen}"
    if not checkpoint.exists():
        unfinished = checkpoint.with_suffix(".unfinished")
        train(training, episodes, unfinished)
        unfinished.rename(checkpoint)
    return checkpoint


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
