"""The whole state of a training in one file, so that an interrupted run continues bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from metasgd.adaptation import Meta
from metasgd.checkpoint import pack, read_tensors, unpack, write_atomically
from metasgd.errors import CheckpointError
from metasgd.loop import Point, TrainingState


@dataclass(frozen=True)
class ResumeFile:
    """Implements `metasgd.loop.Resume`.

    identity: what the state belongs to (parameters, data, seed); the file of another run is refused.
    """

    path: Path
    identity: str

    def save(self, state: TrainingState) -> None:
        """Replace the file atomically."""
        adam = state.optimiser.state_dict()["state"] if state.optimiser else {}
        tensors = {
            **pack(state.meta, "now/"),
            **pack(state.best, "best/"),
            **{f"adam/{index}/{key}": value for index, slots in adam.items() for key, value in slots.items()},
            "tasks": state.tasks.get_state(),
        }
        counters = {
            "iteration": state.iteration,
            "best_iteration": state.best_iteration,
            "best_score": state.best_score,
            "curve": [asdict(point) for point in state.curve],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"identity": self.identity, "counters": json.dumps(counters)}
        write_atomically(self.path, save(tensors, metadata))

    def restore(self, state: TrainingState) -> None:
        """Continue from the file, if there is one. Raises CheckpointError for a damaged or foreign file."""
        if not self.path.exists():
            return
        counters = self._counters()
        tensors = read_tensors(self.path)
        _overwrite(state.meta, unpack(tensors, "now/"))
        _overwrite(state.best, unpack(tensors, "best/"))
        if state.optimiser:
            _restore_adam(state.optimiser, tensors)
        state.tasks.set_state(tensors["tasks"])
        state.curve[:] = [Point(**point) for point in counters.pop("curve")]
        for name, value in counters.items():
            setattr(state, name, value)

    def _counters(self) -> dict[str, Any]:
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
        except SafetensorError as error:
            raise CheckpointError(
                f"{self.path}: not a whole resume file ({error}); delete it to start anew"
            ) from None
        if metadata.get("identity") != self.identity:
            found = metadata.get("identity")
            raise CheckpointError(f"{self.path}: the state of run {found}; expected that of {self.identity}")
        counters: dict[str, Any] = json.loads(metadata["counters"])
        return counters


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
