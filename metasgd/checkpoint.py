"""Checkpoints: (theta, alpha) as safetensors, and one JSON that rebuilds the learner around them.

    save_checkpoint(folder, learner, meta, about={"seed": 1})
    learner, meta, about = load_checkpoint(folder)

No pickle anywhere. Files are written beside their place and then renamed, so that a reader finds a
whole file or none.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metasgd.adaptation import Learner, Meta, Problem
from metasgd.configuration import NETWORKS, LearnerSettings
from metasgd.errors import CheckpointError

WEIGHTS = "weights.safetensors"
ABOUT = "checkpoint.json"
FORMAT = 1
T = TypeVar("T")


def save_checkpoint(folder: Path, learner: Learner, meta: Meta, about: Mapping[str, Any]) -> None:
    """Write weights.safetensors and checkpoint.json. about: what else to remember, as JSON values."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, save(pack(meta)))
    document = {
        "format": FORMAT,
        "problem": asdict(learner.problem),
        "network": asdict(learner.architecture),
        "learner": asdict(learner.settings),
        "about": dict(about),
    }
    write_atomically(folder / ABOUT, (json.dumps(document, indent=2) + "\n").encode())


def load_checkpoint(folder: Path) -> tuple[Learner, Meta, dict[str, Any]]:
    """Rebuild the learner and its (theta, alpha).

    Raises CheckpointError for files that are missing or damaged, and for weights whose names or
    shapes are not those of the architecture in checkpoint.json.
    """
    learner, about = _load_learner(folder / ABOUT)
    meta = unpack(read_tensors(folder / WEIGHTS))
    _require_fit(learner, meta, folder / WEIGHTS)
    return learner, meta, about


def pack(meta: Meta, prefix: str = "") -> dict[str, Tensor]:
    """Flat names for one file: theta/<name> and alpha/<name>."""
    parts = {"theta": meta.theta, "alpha": meta.alpha}
    return {
        f"{prefix}{part}/{name}": value.detach().cpu().contiguous()
        for part, values in parts.items()
        for name, value in values.items()
    }


def unpack(tensors: Mapping[str, Tensor], prefix: str = "") -> Meta:
    """The inverse of `pack`."""

    def part(name: str) -> dict[str, Tensor]:
        start = f"{prefix}{name}/"
        return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}

    return Meta(part("theta"), part("alpha"))


def read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected a checkpoint's tensors") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from None


def write_atomically(path: Path, content: bytes) -> None:
    """The whole content or nothing: a temporary file in the same folder, flushed, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _load_learner(path: Path) -> tuple[Learner, dict[str, Any]]:
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise CheckpointError(f"{path}: format is {document['format']}; expected {FORMAT}")
        problem = _settings(Problem, document["problem"])
        # Checkpoints from before layers had starts of their own say nothing of them.
        learner = _settings(LearnerSettings, {"layers": {}, **document["learner"]})
        network = _settings(NETWORKS[document["network"]["kind"]], document["network"])
        return Learner.build(problem, network, learner), document["about"]
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected a checkpoint") from None
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not a checkpoint's description ({error!r})") from None


def _settings(kind: type[T], document: Mapping[str, Any]) -> T:
    """A frozen dataclass from JSON, whose lists were tuples."""
    return kind(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
    )


def _require_fit(learner: Learner, meta: Meta, path: Path) -> None:
    expected = pack(learner.initial(torch.Generator()))
    found = pack(meta)
    for name in sorted(expected.keys() | found.keys()):
        wanted = tuple(expected[name].shape) if name in expected else "absent"
        given = tuple(found[name].shape) if name in found else "absent"
        if wanted != given:
            raise CheckpointError(
                f"{path}: {name} is {given}; expected {wanted} by {ABOUT}: another architecture?"
            )
