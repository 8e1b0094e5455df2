"""A sweep's trials, which the choose step is told, and the ranking of its points, which it writes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.config.parsing import from_json, to_json
from components.config.settings import Training
from metasgd.errors import InputError

RANKING, BEST = "ranking.json", "best.yaml"
LONGEST = 100  # characters of a point's name


@dataclass(frozen=True)
class Trial:
    """A point of a sweep.

    overrides: key=value, as `SET` takes them. trainings: the fingerprint of each -> its seed.
    """

    overrides: list[str]
    trainings: dict[str, int]

    @property
    def name(self) -> str:
        return point_name(self.overrides)


@dataclass(frozen=True)
class Trials:
    """All points of a sweep. settings: overrides that they share."""

    experiment: str
    algorithm: str
    settings: list[str]
    trials: list[Trial]


@dataclass(frozen=True)
class Ranked:
    """A point with its scores on the validation tasks.

    scores: by seed; None where the training diverged. mean, half_width: over seeds; None where one diverged,
        and half_width for a single seed, too.
    """

    overrides: list[str]
    scores: dict[int, float | None]
    mean: float | None
    half_width: float | None

    @property
    def name(self) -> str:
        return point_name(self.overrides)


@dataclass(frozen=True)
class Choice:
    """The points of a sweep, the best first; those that diverged come last."""

    experiment: str
    algorithm: str
    metric: str
    higher_is_better: bool
    settings: list[str]
    ranking: list[Ranked]

    @property
    def best(self) -> Ranked:
        return self.ranking[0]


def read_choice(folder: Path) -> Choice:
    """Of the choose step's output. Raises InputError."""
    path = folder / RANKING
    try:
        return from_json(Choice, path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a sweep's ranking") from None


def fingerprint(training: Training) -> str:
    """What tells a training from all others, whatever run it is of."""
    return hashlib.sha256(to_json(training).encode()).hexdigest()[:16]


def point_name(overrides: Sequence[str]) -> str:
    """As people are told of a point: its overrides; no two points have the same name."""
    name = " ".join(overrides)
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - len(digest) - 1]} {digest}"
