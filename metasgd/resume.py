"""The whole state of a training as one safetensors file, so that an interrupted run continues bit for bit."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metasgd.adaptation import Meta
from metasgd.checkpoint import pack, unpack, write_atomically
from metasgd.errors import CheckpointError
from metasgd.loop import Point, TrainingState

ABOUT, DIGEST = "about", "digest"  # tensors of bytes: counters as JSON, and the SHA-256 of all the others


def to_bytes(state: TrainingState, identity: str) -> bytes:
    """The state as it is now, with a digest of itself.

    identity: what it belongs to: parameters, data, code, seed.
    """
    adam = state.optimiser.state_dict()["state"] if state.optimiser else {}
    about = {
        "identity": identity,
        "counters": {
            "iteration": state.iteration,
            "best_iteration": state.best_iteration,
            "best_score": state.best_score,
            "curve": [asdict(point) for point in state.curve],
        },
    }
    tensors = {
        **pack(state.meta, "now/"),
        **pack(state.best, "best/"),
        **{f"adam/{index}/{key}": value for index, slots in adam.items() for key, value in slots.items()},
        "tasks": state.tasks.get_state(),
        ABOUT: _bytes(json.dumps(about).encode()),
    }
    return save({**tensors, DIGEST: _bytes(_digest(tensors))})


def from_bytes(content: bytes, identity: str, where: str) -> dict[str, Tensor]:
    """The tensors of a saved state, checked to be whole and of this training.

    where: what the content was read from. Raises CheckpointError.
    """
    try:
        tensors = load(content)
        digest = tensors.pop(DIGEST)
    except (SafetensorError, KeyError) as error:
        raise CheckpointError(
            f"{where}: not a whole resume file ({error}); delete it to start anew"
        ) from None
    if bytes(digest.tolist()) != _digest(tensors):
        raise CheckpointError(
            f"{where}: not a whole resume file (its digest differs); delete it to start anew"
        )
    found = _about(tensors)["identity"]
    if found != identity:
        raise CheckpointError(f"{where}: the state of run {found}; expected that of {identity}")
    return tensors


def restore(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Put the state back to where `to_bytes` saw it."""
    _overwrite(state.meta, unpack(tensors, "now/"))
    _overwrite(state.best, unpack(tensors, "best/"))
    if state.optimiser:
        _restore_adam(state.optimiser, tensors)
    state.tasks.set_state(tensors["tasks"])
    counters = _about(tensors)["counters"]
    state.curve[:] = [Point(**point) for point in counters.pop("curve")]
    for name, value in counters.items():
        setattr(state, name, value)


def saved_iteration(tensors: Mapping[str, Tensor]) -> int:
    """The iteration of a saved state."""
    return int(_about(tensors)["counters"]["iteration"])


@dataclass(frozen=True)
class ResumeFile:
    """One file that always holds the last state: the simplest `metasgd.loop.Resume`."""

    path: Path
    identity: str

    def save(self, state: TrainingState) -> None:
        """Replace the file atomically."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, to_bytes(state, self.identity))

    def restore(self, state: TrainingState) -> None:
        """Continue from the file, if there is one. Raises CheckpointError for a damaged or foreign file."""
        if self.path.exists():
            restore(state, from_bytes(self.path.read_bytes(), self.identity, str(self.path)))


def _about(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(bytes(tensors[ABOUT].tolist()))
    return about


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _digest(tensors: Mapping[str, Tensor]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}\0".encode())
        digest.update(tensors[name].detach().cpu().numpy().tobytes())
    return digest.digest()


def _overwrite(meta: Meta, saved: Meta) -> None:
    """In place, because the optimiser holds the tensors."""
    for part, saved_part in zip(meta, saved, strict=True):
        for name, value in part.items():
            value.copy_(saved_part[name])


def _restore_adam(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam/"):
            _, index, slot = name.split("/")
            state.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
