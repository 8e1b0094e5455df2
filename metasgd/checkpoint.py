"""Checkpoints: (theta, alpha) as safetensors, and one JSON that rebuilds the learner around them.

    save_checkpoint(folder, learner, meta, about={"seed": 1})
    learner, meta, about = load_checkpoint(folder)

No pickle anywhere. Files are written beside their place and then renamed, so that a reader finds a
whole file or none.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metasgd.configuration import NETWORKS
from metasgd.errors import CheckpointError
from metasgd.files import write_atomically
from metasgd.learner import Learner, Meta, Problem
from metasgd.learner_settings import LEARNER_SETTINGS
from metasgd.learners import build_learner

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
    return learner, _fitted(learner, read_tensors(folder / WEIGHTS), folder / WEIGHTS), about


def pack(meta: Meta, prefix: str = "") -> dict[str, Tensor]:
    """Flat names for one file: theta/<name> and alpha/<name>."""
    return {name: value.detach().cpu().contiguous() for name, value in _named(meta, prefix)}


def _named(meta: Meta, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for part, values in (("theta", meta.theta), ("alpha", meta.alpha)):
        yield from ((f"{prefix}{part}/{name}", value) for name, value in values.items())


def unpack(tensors: Mapping[str, Tensor], prefix: str = "") -> Meta:
    """The inverse of `pack`."""

    def part(name: str) -> dict[str, Tensor]:
        start = f"{prefix}{name}/"
        return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}

    return Meta(part("theta"), part("alpha"))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """By name, in the names' order: safetensors gives them in another one in every process."""
    try:
        return dict(sorted(load(path.read_bytes()).items()))
    except OSError as error:
        raise CheckpointError(f"{path}: {_reason(error)}; expected a checkpoint's tensors") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from None


def _reason(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"


def _load_learner(path: Path) -> tuple[Learner, dict[str, Any]]:
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise CheckpointError(f"{path}: format is {document['format']}; expected {FORMAT}")
        return described_learner(document), document["about"]
    except OSError as error:
        raise CheckpointError(f"{path}: {_reason(error)}; expected a checkpoint") from None
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not a checkpoint's description ({error!r})") from None


def described_learner(document: Mapping[str, Any]) -> Learner:
    """From "problem", "network" and "learner" of a description.

    Raises KeyError, TypeError or ValueError for one that makes no sense.
    """
    problem = settings_from(Problem, document["problem"])
    chosen = learner_with_later_keys(document["learner"])
    learner = settings_from(LEARNER_SETTINGS[chosen["kind"]], chosen)
    network = network_with_later_keys(document["network"])
    return build_learner(problem, settings_from(NETWORKS[network["kind"]], network), learner)


def learner_with_later_keys(learner: Mapping[str, Any]) -> dict[str, Any]:
    """A learner's settings as they are now, from checkpoints that say less."""
    match kind := learner.get("kind", "gradient"):
        case "gradient":
            return {"kind": kind, "layers": {}, "adapts": "all", "ways": 0, **learner}
        case "prototypes":
            return {"scale": 1.0, "ways": 0, **learner}
        case "matching" | "siamese":
            return {"ways": 0, **learner}
    return dict(learner)


def network_with_later_keys(network: Mapping[str, Any]) -> dict[str, Any]:
    """A network's settings as they are now, from checkpoints that say less, or in other words."""
    later = dict(network)
    if later.get("kind") == "convnet":
        if isinstance(transductive := later.pop("transductive", None), bool):
            later["normalisation"] = "transductive" if transductive else "inductive"
        later.setdefault("head", "per-class")
    return later


def settings_from(kind: type[T], document: Mapping[str, Any]) -> T:
    """A frozen dataclass from JSON, whose lists were tuples."""
    return kind(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
    )


def _fitted(learner: Learner, found: Mapping[str, Tensor], path: Path) -> Meta:
    """(theta, alpha) in the order of the network's layers."""
    with torch.device("meta"):  # shapes alone: a description may claim any
        expected = dict(_named(learner.initial(torch.Generator())))
    for name in sorted(expected.keys() | found.keys()):
        wanted = tuple(expected[name].shape) if name in expected else "absent"
        given = tuple(found[name].shape) if name in found else "absent"
        if wanted != given:
            raise CheckpointError(
                f"{path}: {name} is {given}; expected {wanted} by {ABOUT}: another architecture?"
            )
    return unpack({name: found[name] for name in expected})
