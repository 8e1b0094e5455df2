"""Adapted tasks between requests: in memory, for a while, within bounds."""

import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from metasgd.errors import InputError
from metasgd.serving import AdaptedTask


@dataclass(frozen=True)
class Kept:
    """classes: the names of the classes by their numbers; of tasks without any, empty.

    expires: seconds since 1970.
    """

    task: AdaptedTask
    classes: tuple[str, ...]
    expires: float

    @property
    def bytes(self) -> int:
        """The memory that it takes: nearly all of it is the task's tensors."""
        return self.task.bytes + sum(sys.getsizeof(name) for name in self.classes)


class AdaptedTasks:
    """Adapted tasks by id; safe to use from several threads.

    Beyond `most_tasks` or `most_bytes`, the least recently used ones go. Each is gone `seconds` after it was
    added, however often it is used.
    clock: seconds since 1970.
    """

    def __init__(
        self, most_tasks: int, most_bytes: int, seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._most_tasks, self._most_bytes, self._seconds = most_tasks, most_bytes, seconds
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()  # the least recently used one comes first
        self._bytes = 0
        self._lock = Lock()

    def add(self, task: AdaptedTask, classes: tuple[str, ...] = ()) -> tuple[str, Kept]:
        """Its id, which nobody can guess. Raises InputError for one that alone is beyond the bound."""
        kept = Kept(task, classes, self._clock() + self._seconds)
        if kept.bytes > self._most_bytes:
            raise InputError(
                f"the adapted task takes {kept.bytes} bytes; expected {self._most_bytes} at most"
            )
        identity = secrets.token_urlsafe()
        with self._lock:
            self._drop_expired()
            self._kept[identity] = kept
            self._bytes += kept.bytes
            while len(self._kept) > self._most_tasks or self._bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))
        return identity, kept

    def find(self, identity: str) -> Kept | None:
        """None for one that is unknown, expired, or had to make room. To be found is to be used."""
        with self._lock:
            self._drop_expired()
            if identity in self._kept:
                self._kept.move_to_end(identity)
            return self._kept.get(identity)

    def remove(self, identity: str) -> bool:
        """Whether it was there."""
        with self._lock:
            self._drop_expired()
            return self._drop(identity)

    def __len__(self) -> int:
        with self._lock:
            self._drop_expired()
            return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of all that are kept."""
        with self._lock:
            self._drop_expired()
            return self._bytes

    def _drop_expired(self) -> None:
        now = self._clock()
        for identity in [identity for identity, kept in self._kept.items() if kept.expires <= now]:
            self._drop(identity)

    def _drop(self, identity: str) -> bool:
        kept = self._kept.pop(identity, None)
        self._bytes -= kept.bytes if kept else 0
        return kept is not None
