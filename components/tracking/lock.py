"""One promotion of a model at a time, on all machines that share a registry.

MLflow moves an alias without asking where it was. But the name of a registered model is unique, so of several
who make one of the same name, one succeeds: that is the lock.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from components.console.messages import in_one_line
from components.tracking.client import UNKNOWN
from components.tracking.patience import ERRORS
from components.tracking.processes import is_dead, is_of_this_machine, this_process
from metasgd.errors import InputError

SUFFIX = ".promotion-under-way"
HOLDER = "holder"
WAIT = 300.0  # seconds for another promotion to end
STALE = 900.0  # seconds after which a lock of another machine is taken for abandoned
PAUSE = 0.5  # seconds between two tries
WHAT = "A lock, gone when the promotion ends. Where nothing is under way, it can be deleted."


@dataclass(frozen=True)
class Lock:
    """Held while it exists in the registry with this token."""

    client: MlflowClient
    model: str
    token: str

    @property
    def name(self) -> str:
        return f"{self.model}{SUFFIX}"

    def require(self) -> None:
        """Raises InputError where somebody took the lock for abandoned."""
        found = _find(self.client, self.name)
        if found is None or found.tags.get(HOLDER) != self.token:
            raise InputError(
                f"MODEL {self.model!r}: another promotion took over; expected this one within {STALE:g} s: "
                "the same command judges anew"
            )


@contextmanager
def promotion_lock(client: MlflowClient, model: str) -> Iterator[Lock]:
    """Hold the lock of a model. Raises InputError where another promotion holds it for too long."""
    lock = Lock(client, model, f"{this_process()} {uuid.uuid4().hex}")
    _take(lock)
    try:
        yield lock
    finally:
        _give_back(lock)


def _give_back(lock: Lock) -> None:
    """A lock that is left behind changes nothing about what was decided, or about what failed."""
    try:
        found = _find(lock.client, lock.name)
        if found is not None and found.tags.get(HOLDER) == lock.token:
            lock.client.delete_registered_model(lock.name)
    except ERRORS as error:
        print(
            f"{lock.model}: warning: the lock {lock.name!r} is left behind ({in_one_line(error)})", flush=True
        )


def _take(lock: Lock) -> None:
    due = time.monotonic() + WAIT
    said = False
    while not _is_made(lock):
        found = _find(lock.client, lock.name)
        if found is None:
            continue
        if _is_abandoned(found):
            lock.client.delete_registered_model(lock.name)
            continue
        since = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
        holder = str(found.tags.get(HOLDER, "somewhere")).partition(" ")[0]
        where = f"{holder}, since {since:%Y-%m-%d %H:%M:%S} UTC"
        if time.monotonic() >= due:
            raise InputError(
                f"MODEL {lock.model!r}: another promotion is under way ({where}); expected it to end: where "
                f"nothing is, delete the registered model {lock.name!r}"
            )
        if not said:
            print(f"{lock.model}: warning: another promotion is under way ({where}); waiting", flush=True)
            said = True
        time.sleep(PAUSE)


def _is_made(lock: Lock) -> bool:
    try:
        lock.client.create_registered_model(lock.name, {HOLDER: lock.token}, WHAT)
    except MlflowException as error:
        if not is_taken(error):
            raise
        # An answer that was lost on its way does not make it another's.
        found = _find(lock.client, lock.name)
        return found is not None and found.tags.get(HOLDER) == lock.token
    return True


def is_taken(error: MlflowException) -> bool:
    """Whether something of that name or number is there: a database may say so in its own words."""
    words = in_one_line(error).lower()
    return error.error_code == "RESOURCE_ALREADY_EXISTS" or "unique" in words or "duplicate" in words


def _find(client: MlflowClient, name: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise


def _is_abandoned(found: RegisteredModel) -> bool:
    """Its process on this machine is dead, or it is another's and older than any promotion takes."""
    process = str(found.tags.get(HOLDER, "")).rpartition(" ")[0]
    if is_of_this_machine(process):
        return is_dead(process)
    return bool(time.time() - found.creation_timestamp / 1000 > STALE)
