"""Where trainings keep their state, so that one that was interrupted continues.

A state lies in a folder or under an S3 prefix (METASGD_STATES), by default in .local/states, in two
copies that are written in turn: whatever happens while one is written, the other is whole.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from components.environment import PIPELINE_RUN, STATES
from components.s3 import Place, S3Client, S3MissingError, client, one_line, parse
from components.tracking import LOCAL
from metasgd.checkpoint import write_atomically
from metasgd.errors import CheckpointError, InputError
from metasgd.loop import TrainingState
from metasgd.resume import from_bytes, restore, saved_iteration, to_bytes

SNAPSHOT = 0.25  # seconds between copies in memory,
LOCAL_WRITE, S3_WRITE = 1.0, 30.0  # and between written ones
COPIES = ("a", "b")
RUN_NAME = re.compile(r"[\w.-]+")
CODE = ("metasgd", "components/train", "components/episodes.py")  # what decides a training's arithmetic


class Store(Protocol):
    """Named files that are written whole or not at all."""

    @property
    def interval(self) -> float:
        """Seconds between writes."""
        ...

    def read(self, name: str) -> bytes | None: ...
    def write(self, name: str, content: bytes) -> None: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A store in a folder, which may be a mounted volume."""

    path: Path
    interval: float = LOCAL_WRITE

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str) -> bytes | None:
        file = self.path / name
        return file.read_bytes() if file.exists() else None

    def write(self, name: str, content: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, content)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Bucket:
    """A store under an S3 prefix."""

    place: Place
    server: S3Client
    interval: float = S3_WRITE

    def __str__(self) -> str:
        return str(self.place)

    def read(self, name: str) -> bytes | None:
        place = self.place / name
        try:
            with one_line(self.server, place):
                content: bytes = self.server.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        except S3MissingError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        place = self.place / name
        with one_line(self.server, place):
            self.server.put_object(Bucket=place.bucket, Key=place.key, Body=content)

    def delete(self, name: str) -> None:
        place = self.place / name
        with one_line(self.server, place):
            self.server.delete_object(Bucket=place.bucket, Key=place.key)


def default_store() -> Store:
    """The store that the environment names; on a cluster, with a folder per pipeline run.

    Raises InputError for an address or a pipeline run that cannot be one.
    """
    place, run = os.environ.get(STATES), os.environ.get(PIPELINE_RUN, "")
    if not place:
        # Without the run: a pipeline that was interrupted here is another run when it is repeated.
        return Folder(LOCAL / "states")
    if run and (not RUN_NAME.fullmatch(run) or not run.strip(".")):
        raise InputError(f"{PIPELINE_RUN} is {run!r}; expected letters, digits, dots and hyphens")
    if place.startswith("s3://"):
        below = parse(place, STATES)
        return Bucket(below / run if run else below, client())
    return Folder(Path(place) / run)


class KeptState:
    """Implements `metasgd.loop.Resume`: a copy in memory often, one in the store now and then.

    name: the state's, in the store. identity: what it belongs to.
    continues: told the state that a restored training continues from.
    say: told what goes wrong without stopping the training.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        identity: str,
        continues: Callable[[TrainingState], None],
        say: Callable[[str], None],
    ) -> None:
        self.store, self.name, self.identity = store, name, identity
        self.continues, self.say = continues, say
        self.newest = 0
        self.pending: bytes | None = None
        self.copied = self.written = time.monotonic()
        self.failed = False

    def restore(self, state: TrainingState) -> None:
        """Continue from the newer whole copy, if there is one; a damaged one is said and passed over."""
        found = [
            (saved_iteration(tensors), copy, tensors) for copy in (0, 1) if (tensors := self._read(copy))
        ]
        if found:
            _, self.newest, tensors = max(found, key=lambda one: one[0])
            restore(state, tensors)
            self.continues(state)

    def save(self, state: TrainingState) -> None:
        """Remember this point, if it is time to."""
        now = time.monotonic()
        if now - self.copied >= min(SNAPSHOT, self.store.interval):
            self.pending, self.copied = to_bytes(state, self.identity), now
        if now - self.written >= self.store.interval:
            self.flush()

    def flush(self) -> None:
        """Write the last remembered point, over the older copy. What fails is said once, and goes on."""
        if self.pending is None:
            return
        copy = 1 - self.newest
        try:
            self.store.write(self._file(copy), self.pending)
        except (InputError, OSError) as error:
            if not self.failed:
                self.say(f"warning: the state cannot be kept ({error}); an interruption would cost more")
            self.failed = True
        else:
            self.newest, self.pending = copy, None
        self.written = time.monotonic()

    def discard(self) -> None:
        """The training is over: nothing is left to continue."""
        for copy in (0, 1):
            try:
                self.store.delete(self._file(copy))
            except InputError as error:
                self.say(f"warning: a state is left behind ({error})")

    def _read(self, copy: int) -> dict[str, torch.Tensor] | None:
        content = self.store.read(self._file(copy))
        if content is None:
            return None
        where = f"{self.store}/{self._file(copy)}"
        try:
            return from_bytes(content, self.identity, where)
        except CheckpointError as error:
            self.say(f"warning: {error}")
            return None

    def _file(self, copy: int) -> str:
        return f"{self.name}.{COPIES[copy]}.safetensors"


def code_digest() -> str:
    """The SHA-256 of the code that decides a training's arithmetic, and the version of torch."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256(torch.__version__.encode())
    for name in CODE:
        place = root / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
