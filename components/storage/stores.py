"""The places where trainings keep their state: folders, and prefixes on S3 servers."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Protocol

from components.config.environment import LOCAL, PARENT, PIPELINE_RUN, STATES
from components.storage.s3 import HASTY, Place, S3Client, S3MissingError, client, parse, s3_errors
from metasgd.errors import CheckpointError, InputError
from metasgd.files import write_atomically

LOCAL_WRITE, S3_WRITE = 2.0, 30.0  # seconds between writes, at least
RUN_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Store(Protocol):
    """Named files that are written whole or not at all.

    Raises InputError or OSError, but CheckpointError for a file that cannot be read.
    """

    @property
    def interval(self) -> float: ...
    def read(self, name: str) -> bytes | None: ...
    def write(self, name: str, content: bytes) -> None: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A store in a folder, which may be a mounted volume."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def interval(self) -> float:
        return LOCAL_WRITE

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"{self.path / name}: cannot be read ({error.strerror})") from None

    def write(self, name: str, content: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, content)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        # What `write_atomically` was writing when a process was killed.
        for left in self.path.glob(f".{escape(name)}.*"):
            left.unlink(missing_ok=True)

    def is_writable(self) -> bool:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self.path, os.W_OK)


@dataclass(frozen=True)
class Bucket:
    """A store under an S3 prefix."""

    place: Place
    server: S3Client

    def __str__(self) -> str:
        return str(self.place)

    @property
    def interval(self) -> float:
        return S3_WRITE

    def read(self, name: str) -> bytes | None:
        place = self.place / name
        try:
            with s3_errors(self.server, place):
                content: bytes = self.server.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        except S3MissingError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        place = self.place / name
        with s3_errors(self.server, place):
            self.server.put_object(Bucket=place.bucket, Key=place.key, Body=content)

    def delete(self, name: str) -> None:
        place = self.place / name
        with s3_errors(self.server, place):
            self.server.delete_object(Bucket=place.bucket, Key=place.key)


@contextmanager
def default_stores() -> Iterator[Sequence[Store]]:
    """The places that the environment names; on a cluster, with a folder per pipeline run."""
    named, local, run = os.environ.get(STATES, ""), Folder(LOCAL / "states"), _cluster_run()
    if not named:
        yield [local]
    elif "://" not in named:
        yield [Folder(Path(named) / run)]
    else:
        place = parse(named, STATES)
        with closing(client(config=HASTY)) as server:
            bucket = Bucket(place / run if run else place, server)
            # A pod's root cannot be written.
            yield [local, bucket] if local.is_writable() else [bucket]


def _cluster_run() -> str:
    """The id of Kubeflow's run; "" for the launcher's, which is another one when it is repeated."""
    run = "" if PARENT in os.environ else os.environ.get(PIPELINE_RUN, "")
    if run and (not RUN_NAME.fullmatch(run) or not run.strip(".")):
        raise InputError(f"{PIPELINE_RUN} is {run!r}; expected letters, digits, dots and hyphens")
    return run
