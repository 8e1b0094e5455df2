"""Trainings that a repeated command takes from the last time, by what was chosen and by the code."""

import hashlib
from pathlib import Path

from components.config.parsing import to_json
from components.config.settings import TaskSettings, Training
from components.preprocess.step import preprocess
from components.train.identity import code_digest
from components.train.step import train


def drawn(tasks: TaskSettings, root: Path) -> Path:
    """The episodes folder of these tasks, below `root`."""
    episodes = root / f"episodes-{_digest(to_json(tasks))}"
    if not episodes.exists():
        preprocess(tasks, episodes)
    return episodes


def trained(training: Training, episodes: Path, root: Path) -> Path:
    """The checkpoint folder of this training, below `root`: one that was interrupted continues."""
    checkpoint = root / f"{training.experiment}-{training.name}-{_digest(to_json(training), episodes.name)}"
    if not checkpoint.exists():
        train(training, episodes, checkpoint)
    return checkpoint


def _digest(*parts: str) -> str:
    """Of what was chosen and of the code: after a change of either, a training is another."""
    return hashlib.sha256("\0".join((*parts, code_digest())).encode()).hexdigest()[:12]
