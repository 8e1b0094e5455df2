"""Runs on this machine that were killed without a word: MLflow is told by the next one.

A launcher holds the lock of its run's folder; the system lets go of it however the launcher ends.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components import parents
from components.tracking import LOCAL, PIPELINES, experiment_id

RUNS = LOCAL / "runs"
LOCK = "lock"


@contextmanager
def under_way(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def end_lost_runs(client: MlflowClient) -> None:
    """End the parents and children of runs of this checkout whose launcher is gone."""
    for name, parent in parents.running_parents(client, experiment_id(client, PIPELINES)):
        if _is_lost(RUNS / name):
            parents.end_lost_runs(client, name)
            client.set_terminated(parent, "KILLED")


def end_lost_steps(client: MlflowClient, name: str) -> None:
    """End what steps of this run left running. An MLflow that is away does not hide what ended the run."""
    with suppress(MlflowException, requests.RequestException):
        parents.end_lost_runs(client, name)


def _is_lost(folder: Path) -> bool:
    """Another machine's runs have no folder here."""
    if not (folder / LOCK).exists():
        return False
    with (folder / LOCK).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
