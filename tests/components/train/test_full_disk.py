"""A tracking server whose disk is full: a real one, on a disk of four megabytes."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from components.artifacts.checkpoint import WEIGHTS
from components.train.step import train
from metasgd.errors import InputError
from tests.components.lane import Lane, empty_store
from tests.components.train.continued import POINTS, at_iteration, whole
from tests.mlflow_server import MlflowServer, mlflow_server
from tests.pipelines.checkout import unavailable


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        unavailable("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def server(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    with mlflow_server(disk, empty_store()) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address)
        yield running


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0


def test_a_full_disk_ends_the_step_in_one_line_and_only_logging_is_left(
    lane: Lane, disk: Path, server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the fifth iteration on; the training goes on to its end, and is whole once there is room again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METASGD_PATIENCE", "0.5")
    seen = at_iteration(monkeypatch, 5, partial(fill, disk))
    with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI http://127\.0\.0\.1:\d+") as failed:
        train(lane.training(), lane.episodes, tmp_path / "out")
    assert "\n" not in str(failed.value)
    assert seen == list(range(1, POINTS + 1))
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    (disk / "filler").unlink()
    seen.clear()
    train(lane.training(), lane.episodes, tmp_path / "out")
    assert seen == []
    whole(lane, tmp_path / "out")
