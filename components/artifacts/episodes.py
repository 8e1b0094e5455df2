"""The episodes folder: what preprocess writes, and every later step reads.

manifest.json        what the tasks are, where they come from, their hashes
tasks.safetensors    the stored tasks, "validation/…", "gate/…" and "test/…"
images.safetensors   per split, flat pictures and the size of each class (image tasks only)
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from components.config.parsing import from_json, to_document, to_json
from components.config.settings import TaskSettings
from metasgd.checkpoint import read_tensors
from metasgd.digests import tensors_digest
from metasgd.errors import InputError
from metasgd.files import write_atomically
from metasgd.learner import Problem
from metasgd.own_folder import require_whole

MANIFEST, TASKS, IMAGES = "manifest.json", "tasks.safetensors", "images.safetensors"
SETS = ("validation", "gate", "test")
Stored = Mapping[str, dict[str, Tensor]]  # set -> stored tasks


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a kind says about the tasks that it has drawn.

    source: SHA-256 of what pictures came from, or how tasks were drawn.
    notes: what a reader must know of the protocol to compare a score.
    classes, images: their numbers by split, where there are any.
    """

    source: str
    problem: Problem
    notes: list[str]
    classes: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest(Description):
    """tasks: their parameters, of whichever kind. pictures: SHA-256 of images; data: of images and tasks."""

    tasks: dict[str, Any]
    pictures: str
    data: str


@dataclass(frozen=True)
class Episodes:
    """An episodes folder as it was read. stored: the tasks per set."""

    folder: Path
    manifest: Manifest
    stored: Stored

    def images(self) -> dict[str, Tensor]:
        """ "<split>/images", uint8 [images, channels, height, width] sorted by class, and "<split>/sizes"."""
        require_whole(self.folder, but=[MANIFEST, TASKS])
        return read_tensors(self.folder / IMAGES)


def write_episodes(
    folder: Path,
    description: Description,
    tasks: TaskSettings,
    stored: Stored,
    images: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the folder, whose manifest is the description with the tasks' parameters and hashes."""
    flat = {f"{name}/{key}": value for name, tensors in stored.items() for key, value in tensors.items()}
    pictures = tensors_digest(images or {})
    data = hashlib.sha256(f"{pictures}/{tensors_digest(flat)}".encode()).hexdigest()
    manifest = Manifest(**vars(description), tasks=to_document(tasks), pictures=pictures, data=data)
    write_atomically(folder / TASKS, save(flat))
    if images:
        write_atomically(folder / IMAGES, save(dict(images)))
    write_atomically(folder / MANIFEST, (to_json(manifest, indent=2) + "\n").encode())


def read_episodes(folder: Path) -> Episodes:
    """Raises InputError for a folder that is missing or damaged."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        reason = "no such file" if missing else f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {reason}; expected the output of the preprocess step") from None
    require_whole(folder, but=[IMAGES])
    manifest = from_json(Manifest, content, str(path))
    flat = read_tensors(folder / TASKS)
    stored = {
        name: {key.partition("/")[2]: value for key, value in flat.items() if key.startswith(f"{name}/")}
        for name in SETS
    }
    return Episodes(folder, manifest, stored)
