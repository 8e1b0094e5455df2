"""The MLflow run that an output belongs to, and how long it took, in a file beside it that DVC ignores."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.config.parsing import from_json, to_json
from metasgd.errors import InputError
from metasgd.files import write_atomically

RUN, RUNS = "run.json", "runs.json"  # of a checkpoint, and of the results of a lane


@dataclass(frozen=True)
class RunRecord:
    """seconds: what the training took. weights: SHA-256 of the file of weights that it is about.
    machine: that it took them on, in words.

    DVC swaps the weights and leaves the record where it is. Earlier records lack them.
    """

    run_id: str
    seconds: float | None = None
    weights: str | None = None
    machine: str | None = None


def write_run(path: Path, run: RunRecord) -> None:
    write_atomically(path, (to_json(run) + "\n").encode())


def read_run(path: Path) -> RunRecord | None:
    """None without such a file, as in a checkpoint that DVC has pulled."""
    return from_json(RunRecord, _content(path), str(path)) if path.exists() else None


def write_runs(path: Path, runs: Mapping[str, RunRecord]) -> None:
    """By <algorithm>-seed<seed>."""
    write_atomically(path, (to_json(dict(runs), indent=2) + "\n").encode())


def read_runs(path: Path) -> dict[str, RunRecord]:
    return from_json(dict[str, RunRecord], _content(path), str(path)) if path.exists() else {}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a record of runs") from None
