"""Score policies: drive them through stored tasks."""

from collections.abc import Sequence
from pathlib import Path

from components.scoring.step import score_lane


def rollout(checkpoints: Sequence[Path], episodes: Path, output: Path) -> dict[str, float]:
    """Write the results folder (components.artifacts.results); returns the headline numbers.

    Raises InputError for a checkpoint that is damaged or was trained for another kind of task, and for tasks
    that another step scores.
    """
    return score_lane("rollout", checkpoints, episodes, output)
