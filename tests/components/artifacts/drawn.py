"""Small episodes, as preprocess writes them."""

from pathlib import Path

from components.config.settings import TaskSettings
from components.preprocess.step import preprocess
from tests.components.lane import experiment

CLASSES, PICTURES = 12, 6
OVERRIDES = (
    "tasks.source.name=folder",
    "tasks.source.size=4",
    "tasks.source.rotations=false",
    "tasks.source.rotate_test=false",
    "tasks.source.split=[0.5, 0.25, 0.25]",
    "tasks.distribution={ways: 2, shots: 1, queries: 2}",
    "tasks.stored={validation: 20, gate: 20, test: 20, test_shots: [2, 1], test_queries: 3}",
)


def shade(label: int, number: int) -> int:
    """The grey of a picture says its class and its number."""
    return 20 * label + number


def sine_tasks(*changes: str) -> TaskSettings:
    return experiment(*changes).tasks


def written(tasks: TaskSettings, folder: Path) -> Path:
    preprocess(tasks, folder)
    return folder
