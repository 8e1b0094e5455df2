"""The decision about a lane's champion: what promote writes, and report reads."""

from dataclasses import dataclass

from components.artifacts.results import NAN_AS_NAN


@dataclass(frozen=True)
class Model:
    """A trained model in a comparison. version: None where it is not registered."""

    algorithm: str
    seed: int
    version: str | None


@dataclass(frozen=True)
class Comparison:
    """One challenger on the gate tasks.

    champion: None where there was none.
    mean_difference, interval: challenger minus champion, task by task; positive is better.
    level: the interval's, by Holm over the challengers of the run; .95 for a single one.
    """

    __pydantic_config__ = NAN_AS_NAN

    challenger: Model
    champion: Model | None
    mean_difference: float | None
    interval: tuple[float, float] | None
    level: float | None
    wins: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """decision.json: who is the champion after the run, and why."""

    experiment: str
    model: str
    task_set: str
    dry_run: bool
    champion_before: str | None
    champion_after: str | None
    versions: list[Model]
    comparisons: list[Comparison]
