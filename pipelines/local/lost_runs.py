"""Runs on this machine that were killed without a word: MLflow is told by the next one.

A launcher and the process that runs its steps hold the lock of the run's folder; the system lets go of it
however they end.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient

from components.config.environment import LOCAL
from components.tracking import parents
from components.tracking.client import PIPELINES, experiment_id
from components.tracking.patience import ERRORS

RUNS = LOCAL / "runs"
LOCK = "lock"


@contextmanager
def under_way(folder: Path) -> Iterator[int]:
    """Hold the lock of a run's folder; gives its descriptor, by which a process of the run holds it, too."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def end_lost_runs(client: MlflowClient) -> None:
    """End the parents and children of runs of this checkout that nobody is at work on.

    What MLflow refuses is a warning: the run that is about to start has nothing to do with it.
    """
    try:
        for name, parent in parents.running_parents(client, experiment_id(client, PIPELINES)):
            if _is_lost(RUNS / name):
                parents.end_lost_runs(client, name)
                client.set_terminated(parent, "KILLED")
    except ERRORS as error:
        print(f"warning: runs that were killed stay RUNNING in MLflow ({type(error).__name__})", flush=True)


def end_lost_steps(client: MlflowClient, name: str) -> None:
    """End what steps of this run left running. An MLflow that is away does not hide what ended the run."""
    with suppress(*ERRORS):
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
