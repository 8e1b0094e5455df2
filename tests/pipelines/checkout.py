"""A checkout of the project in a folder of the tests' choosing, and commands in it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import docker
import pytest
from docker.errors import DockerException

ROOT = Path(__file__).parents[2]
OURS = ("MLFLOW_", "METASGD_")  # a test's store is that of its checkout
TRACKED = ("components", "metasgd", "pipelines", "params.yaml", "dvc.yaml", "data.dvc", "pyproject.toml")


def make_checkout(place: Path) -> Path:
    """The project's files and its environment, linked under `place`."""
    place.mkdir(parents=True)
    for name in TRACKED:
        (place / name).symlink_to(ROOT / name)
    (place / ".venv").symlink_to(sys.prefix)
    return place


def run(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m …` in the checkout, by its own environment."""
    command = [str(checkout / ".venv" / "bin" / "python"), "-m", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    # The checkout's own packages, not those of the editable install.
    settings = {**inherited, "PYTHONPATH": str(checkout), **environment}
    return subprocess.run(command, cwd=checkout, env=settings, capture_output=True, text=True, check=False)


def overrides(values: Sequence[str], lanes: Sequence[str], lane: int) -> list[str]:
    """The options of a step's command: for every lane, or for this one."""
    others = {name for number, name in enumerate(lanes) if number != lane}
    chosen = [value for value in values if value.split(".")[0] not in others]
    return [part for value in chosen for part in ("--set", value)]


def require_engine() -> None:
    """Skip where no container engine answers; or fail, in CI."""
    try:
        docker.from_env().close()
    except DockerException:
        unavailable("no container engine answers here")


def unavailable(why: str) -> NoReturn:
    """Skip; or fail, in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run this: {why}")
    pytest.skip(why)
