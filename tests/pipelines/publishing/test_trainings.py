"""Which trainings a repeated command takes from the last time."""

from pathlib import Path

from pipelines.publishing.trainings import drawn, trained
from tests.components.lane import experiment, store


def test_other_tasks_are_another_training(tmp_path: Path) -> None:
    """Also where they differ in nothing that is stored, as the queries of meta-training do."""

    def folder(queries: int) -> Path:
        chosen = experiment(f"tasks.distribution.queries={queries}")
        return trained(chosen.training("meta-sgd", 1), drawn(chosen.tasks, tmp_path), tmp_path)

    with store(tmp_path):
        folders = [folder(queries) for queries in (3, 4, 3)]
    assert folders[0] == folders[2] != folders[1]
