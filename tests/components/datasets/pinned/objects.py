"""Objects as DVC puts them into a bucket, and episodes of what they are."""

import hashlib
import json
from pathlib import Path

from components.config.settings import StoredTasks
from components.datasets.pinned import (
    Pin,
)
from components.kinds.images import ImageTasks
from components.storage.s3 import (
    S3Client,
)
from metasgd.configuration import EpisodeSettings
from tests.components.datasets.helpers import image_source
from tests.s3_server import BUCKET

LARGE = 20 << 20  # bytes: more than boto3 fetches in one piece
PREFIX = "team/store"
REMOTE = f"s3://{BUCKET}/{PREFIX}"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def key(md5: str) -> str:
    return f"{PREFIX}/files/md5/{md5[:2]}/{md5[2:]}"


def stored(s3: S3Client, contents: bytes, suffix: str = "") -> Pin:
    """Put an object where DVC would, and pin it."""
    md5 = hashlib.md5(contents, usedforsecurity=False).hexdigest() + suffix
    s3.put_object(Bucket=BUCKET, Key=key(md5), Body=contents)
    return Pin(md5, REMOTE)


def stored_list(s3: S3Client, entries: list[dict[str, str]]) -> Pin:
    """The same for a folder's list."""
    return stored(s3, json.dumps(entries).encode(), ".dir")


def image_tasks(path: Path | str, name: str = "folder") -> ImageTasks:
    """Small episodes from a folder of class folders."""
    return ImageTasks(
        kind="images",
        source=image_source(name, path),
        distribution=EpisodeSettings(ways=2, shots=1, queries=1),
        stored=StoredTasks(validation=2, gate=2, test=3, test_shots=[1, 2], test_queries=2),
        seed=3,
    )
