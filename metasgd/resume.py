"""The whole state of a training as one safetensors file, so that an interrupted run continues bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metasgd.checkpoint import pack, unpack
from metasgd.digests import tensors_digest
from metasgd.errors import CheckpointError
from metasgd.files import write_atomically
from metasgd.learner import Meta
from metasgd.loop import Point, TrainingState

UNFIT = (LookupError, TypeError, ValueError, RuntimeError)  # raised by contents of another form
TEXT, DIGEST = "text", "digest"  # tensors of bytes: JSON, and the SHA-256 of all the others


class NotWholeError(CheckpointError):
    """What should be a state is cut off or damaged."""


@dataclass(frozen=True)
class SavedState:
    """A state as `to_bytes` saw it.

    about: what else was remembered.
    """

    iteration: int
    curve: list[Point]
    about: Mapping[str, Any]
    best_iteration: int
    best_score: float | None
    tensors: Mapping[str, Tensor]

    def restore(self, state: TrainingState) -> None:
        """Put a state back to where this one was. Raises NotWholeError for what no such training has left."""
        try:
            self._restore(state)
        except UNFIT as error:
            words = " ".join(str(error).split())
            raise NotWholeError(
                f"the state of iteration {self.iteration} does not fit its training ({words}); expected one "
                "that it left: delete the state to start anew"
            ) from None

    def _restore(self, state: TrainingState) -> None:
        _overwrite(state.meta, unpack(self.tensors, "now/"))
        _overwrite(state.best, unpack(self.tensors, "best/"))
        if state.optimiser:
            _restore_adam(state.optimiser, self.tensors)
        state.tasks.set_state(self.tensors["tasks"])
        state.curve[:] = self.curve
        state.iteration, state.best_iteration = self.iteration, self.best_iteration
        state.best_score = self.best_score


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
        if not self.path.exists():
            return
        try:
            saved = from_bytes(self.path.read_bytes(), self.identity, str(self.path))
        except NotWholeError as error:
            raise CheckpointError(f"{error}; delete it to start anew") from None
        saved.restore(state)


def to_bytes(state: TrainingState, identity: str, about: Mapping[str, Any] | None = None) -> bytes:
    """The state as it is now, with a digest of itself.

    identity: what it belongs to: parameters, data, code, seed. about: what else to remember, as JSON values.
    """
    adam = state.optimiser.state_dict()["state"] if state.optimiser else {}
    text = {
        "identity": identity,
        "saved": {
            "iteration": state.iteration,
            "curve": [asdict(point) for point in state.curve],
            "about": dict(about or {}),
            "best_iteration": state.best_iteration,
            "best_score": state.best_score,
        },
    }
    tensors = {
        **pack(state.meta, "now/"),
        **pack(state.best, "best/"),
        **{f"adam/{index}/{key}": value for index, slots in adam.items() for key, value in slots.items()},
        "tasks": state.tasks.get_state(),
        TEXT: _tensor(json.dumps(text).encode()),
    }
    return save({**tensors, DIGEST: _tensor(tensors_digest(tensors).encode())})


def from_bytes(content: bytes, identity: str, where: str) -> SavedState:
    """The inverse of `to_bytes`.

    where: what the content was read from, for the messages.
    Raises NotWholeError for what is damaged, and CheckpointError for the state of another training.
    """
    try:
        tensors = load(content)
        digest = tensors.pop(DIGEST)
    except (SafetensorError, KeyError) as error:
        raise NotWholeError(f"{where}: not a whole resume file ({error})") from None
    if _bytes(digest) != tensors_digest(tensors).encode():
        raise NotWholeError(f"{where}: not a whole resume file (its digest differs)")
    try:
        text = json.loads(_bytes(tensors.pop(TEXT)))
        if text["identity"] != identity:
            raise CheckpointError(
                f"{where}: the state of run {text['identity']}; expected that of {identity}"
            )
        curve = [Point(**point) for point in text["saved"].pop("curve")]
        return SavedState(curve=curve, tensors=tensors, **text["saved"])
    except UNFIT as error:
        if isinstance(error, CheckpointError):
            raise
        raise NotWholeError(f"{where}: not a resume file ({error!r})") from None


def _tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.numpy().tobytes()


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
