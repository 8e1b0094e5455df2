"""What results/ holds: a Record for every experiment and algorithm, with all of its published numbers."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.artifacts.results import NAN_AS_NAN
from components.config.code import ROOT
from components.config.parsing import from_json, to_json
from metasgd.errors import InputError
from metasgd.files import write_atomically

RESULTS, MODELS = "results", "models"  # below the checkout


@dataclass(frozen=True)
class Number:
    """One published score, in the units of `Record.metric`.

    protocol: "published" shares the queries' batch; "served" predicts each query for itself.
    shots, step: examples (trajectories) to adapt on, and inner steps. tasks: how many were scored.
    mean: over tasks and seeds. over_tasks: half of its 95 % interval over tasks, whose scores are averaged
    over seeds first. over_seeds: half of Student's over the seeds' means; None for one seed.
    by_seed: the seeds' means, in the order of `Record.seeds`.
    """

    __pydantic_config__ = NAN_AS_NAN

    protocol: str
    shots: int
    step: int
    tasks: int
    mean: float
    over_tasks: float
    over_seeds: float | None
    by_seed: list[float]


@dataclass(frozen=True)
class Worth:
    """What alpha is ahead by on the gate tasks; positive is better.

    ablation: what was taken away of it (metasgd.ablation). The rest as in Number.
    """

    __pydantic_config__ = NAN_AS_NAN

    ablation: str
    mean: float
    over_tasks: float
    over_seeds: float | None
    by_seed: list[float]


@dataclass(frozen=True)
class Record:
    """results/<experiment>/<algorithm>.json.

    command, commit, date, machine, torch: what measured it, of which code, when, where and with what.
    data: SHA-256 of the episodes. task_sets: by shots, of the test tasks. tasks: the section that draws them.
    network, learner, train: what was chosen. notes: on the protocol.
    weights, chosen_iterations, seconds: of every seed's training: SHA-256 of its file of weights, the
    iteration that was kept, and what it took, as far as known.
    scored_on: the experiment whose tasks were scored, where it is another: <algorithm>-on-<experiment>.json.
    """

    experiment: str
    algorithm: str
    seeds: list[int]
    metric: Literal["mse", "accuracy", "return"]
    higher_is_better: bool
    adapted: int
    command: str
    commit: str
    date: str
    machine: str
    torch: str
    data: str
    task_sets: dict[int, str]
    tasks: dict[str, Any]
    network: dict[str, Any]
    learner: dict[str, Any]
    train: dict[str, Any]
    notes: list[str]
    weights: list[str]
    chosen_iterations: list[int]
    seconds: list[float | None]
    numbers: list[Number]
    worth: list[Worth] = field(default_factory=list)
    scored_on: str | None = None

    @property
    def title(self) -> str:
        on = f" on {self.scored_on}" if self.scored_on else ""
        return f"{self.experiment} {self.algorithm}{on}"

    @property
    def models(self) -> list[str]:
        """Names of the folders in models/<experiment>."""
        return [f"{self.algorithm}-seed{seed}" for seed in self.seeds]

    def number(self, shots: int, step: int | None = None) -> Number:
        """By the published protocol, on all tasks; without a step, after adaptation. Raises InputError."""
        found = self.find(shots, step)
        if found is None:
            raise InputError(f"{self.title}: no {shots}-shot score; expected one of results/")
        return found

    def find(
        self, shots: int, step: int | None = None, protocol: str = "published", tasks: int | None = None
    ) -> Number | None:
        """The same by any protocol, or on the first so many tasks; None where that was not scored."""
        key = (protocol, shots, self.adapted if step is None else step)
        found = [one for one in self.numbers if (one.protocol, one.shots, one.step) == key]
        fitting = [one for one in found if tasks in (None, one.tasks)]
        return max(fitting, key=lambda one: one.tasks, default=None)


def record_path(record: Record, root: Path = ROOT) -> Path:
    on = f"-on-{record.scored_on}" if record.scored_on else ""
    return root / RESULTS / record.experiment / f"{record.algorithm}{on}.json"


def model_folder(experiment: str, name: str, root: Path = ROOT) -> Path:
    """name: <algorithm>-seed<seed>."""
    return root / MODELS / experiment / name


def withdraw(experiment: str, algorithm: str, root: Path = ROOT) -> None:
    """Take back all that was published of an algorithm: its numbers, also on other tasks, then its models."""
    results, models = root / RESULTS / experiment, root / MODELS / experiment
    for file in (results / f"{algorithm}.json", *results.glob(f"{algorithm}-on-*.json")):
        file.unlink(missing_ok=True)
    for folder in models.glob(f"{algorithm}-seed*"):
        shutil.rmtree(folder)


def write_record(record: Record, root: Path = ROOT) -> Path:
    path = record_path(record, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (to_json(record, indent=2) + "\n").encode())
    return path


def read_record(path: Path) -> Record:
    """Raises InputError for a file that is missing or none."""
    try:
        return from_json(Record, path.read_bytes(), str(path))
    except OSError:
        raise InputError(f"{path}: no such file; expected a published result") from None


def records(root: Path = ROOT) -> Iterator[Record]:
    """All that are published, by experiment and algorithm."""
    for path in sorted((root / RESULTS).glob("*/*.json")):
        yield read_record(path)
