"""What OVER says: keys of params.yaml, each with the values that a sweep tries.

    train.rate=1e-4,3e-4,1e-3    network.head=per-class,shared    algorithms.maml.start=[0.01,0.01],[0.1,0.1]

The values are those of a YAML list. With TRIALS, a key may also have a range, as train.rate=1e-4..1e-2.
Nothing is imported here that takes long, so that what is wrong is refused at once.
"""

import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.config.document import Document, Section, parse_override, read
from components.config.resolution import variants
from metasgd.errors import InputError

# A step's pod gets the settings of all trainings as one argument, for which Linux has 128 KiB.
MOST = 100
VARIED = ("network", "train", "algorithms")  # the sections that a sweep may vary
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})")
EXAMPLE = "expected KEY=VALUE,VALUE, as in train.rate=1e-4,1e-3"
Point = tuple[str, ...]  # key=value each, as `SET` takes them


@dataclass(frozen=True)
class Axis:
    """A key and its values. limits: in their place, the ends of a range."""

    key: str
    values: tuple[Any, ...]
    limits: tuple[float, float] | None = None

    @property
    def algorithm(self) -> str | None:
        """The one that the key belongs to, if any."""
        section, *names = self.key.split(".")
        return names[0] if section == "algorithms" else None

    @property
    def size(self) -> float:
        if self.limits is None:
            return len(self.values)
        low, high = self.limits
        return high - low + 1 if isinstance(low, int) and isinstance(high, int) else math.inf

    def override(self, value: Any) -> str:
        return f"{self.key}={to_text(value)}"


@dataclass(frozen=True)
class Space:
    """What a sweep varies, of one experiment and algorithm. settings: the overrides that its points share."""

    experiment: str
    algorithm: str
    axes: Sequence[Axis]
    settings: Sequence[str]

    @property
    def size(self) -> float:
        """The number of points; infinite with a range of fractions."""
        return math.prod(axis.size for axis in self.axes)

    @property
    def has_range(self) -> bool:
        return any(axis.limits for axis in self.axes)

    @property
    def shared(self) -> list[str]:
        """The settings, and that this algorithm alone is run."""
        return [*self.settings, f"compare=[{self.algorithm}]"]

    def grid(self) -> list[Point]:
        """Every combination of the values; those of the last key alternate fastest."""
        overrides = [[axis.override(value) for value in axis.values] for axis in self.axes]
        return list(itertools.product(*overrides))


def parse_space(experiment: str, over: Sequence[str], settings: Sequence[str]) -> Space:
    """Raises InputError for an experiment, a key or an algorithm that is unknown, and for no values."""
    if not experiment:
        raise InputError("EXPERIMENT is missing; expected one, as in EXPERIMENT=sinusoid-5shot")
    if not over:
        raise InputError(f"OVER is missing; {EXAMPLE}")
    document = read()
    (section,) = variants(document, experiment, settings, [()])
    axes = [_axis(text.removeprefix(f"{experiment}."), document) for text in over]
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"OVER: {key} comes twice; expected every key once")
        if any(text.split("=")[0].removeprefix(f"{experiment}.") == key for text in settings):
            raise InputError(f"SET: {key} is varied by OVER; expected it in one of them")
    space = Space(experiment, _algorithm(axes, section), axes, settings)
    firsts = [axis.override((*axis.values, *(axis.limits or ()))[0]) for axis in axes]
    with about_points():
        variants(document, experiment, space.shared, [[first] for first in firsts])
    return space


def require_size(space: Space, trials: int | None, seeds: int = 1) -> None:
    """Raises InputError for more trainings than a sweep may have, and for TRIALS that do not fit OVER."""
    if trials is None and space.has_range:
        raise InputError("OVER has a range; expected TRIALS, the number of points to draw")
    if trials is not None and not 1 <= trials < space.size:
        most = (
            "1 or more" if math.isinf(space.size) else f"1 to {space.size - 1:,}, as OVER has {space.size:,}"
        )
        raise InputError(f"TRIALS is {trials}; expected {most} points")
    points = space.size if trials is None else trials
    if points * seeds > MOST:
        raise InputError(
            f"OVER gives {points * seeds:,} trainings; expected {MOST} at most: fewer values, or TRIALS"
        )


@contextmanager
def about_points() -> Iterator[None]:
    """An InputError in here is about OVER."""
    try:
        yield
    except InputError as error:
        raise InputError(f"OVER: {str(error).removeprefix('SET ')}") from None


def to_text(value: Any) -> str:
    """As one word, which `SET` takes."""
    return json.dumps(value, separators=(",", ":"))


def _axis(text: str, document: Document) -> Axis:
    key, equals, listed = text.partition("=")
    if not equals or not key:
        raise InputError(f"OVER {text!r}: {EXAMPLE}")
    if key.split(".")[0] not in VARIED or (key.startswith("algorithms") and key.count(".") < 2):
        raise InputError(
            f"OVER {key}: cannot be varied; expected a key of network, train or algorithms.<name>: "
            "all points share the tasks by which the best is chosen"
        )
    if found := RANGE.fullmatch(listed):
        return Axis(key, (), _limits(key, *found.groups()))
    with about_points():
        values = _at(key, parse_override(f"{key}=[{listed}]", document).changes)
    if not isinstance(values, list) or not values:
        raise InputError(f"OVER {key}: has no values; {EXAMPLE}")
    for place, value in enumerate(values):
        if value in values[:place]:
            raise InputError(f"OVER {key}: {to_text(value)} comes twice; expected every value once")
    return Axis(key, tuple(values))


def _limits(key: str, *ends: str) -> tuple[float, float]:
    """Whole numbers stay whole."""
    low, high = (int(end) if end.lstrip("+-").isdecimal() else float(end) for end in ends)
    if not low < high:
        raise InputError(f"OVER {key}: {low}..{high} is no range; expected the lower end first")
    return low, high


def _at(key: str, changes: Any) -> Any:
    for name in key.split("."):
        changes = changes.get(name) if isinstance(changes, dict) else None
    return changes


def _algorithm(axes: Sequence[Axis], section: Section) -> str:
    """The one whose keys are varied, or else the first that the experiment compares."""
    named = list(dict.fromkeys(axis.algorithm for axis in axes if axis.algorithm))
    if len(named) > 1:
        raise InputError(f"OVER: varies the algorithms {' and '.join(named)}; expected one, a sweep for each")
    known, compared = section.get("algorithms"), section.get("compare")
    algorithm = named[0] if named else compared[0] if isinstance(compared, list) and compared else None
    if not isinstance(known, dict) or algorithm not in known:
        names = ", ".join(known) if isinstance(known, dict) else "a section"
        raise InputError(f"OVER: algorithm {algorithm!r} is unknown; expected one of {names}")
    return str(algorithm)
