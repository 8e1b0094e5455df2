"""The results folder: what evaluate and rollout write, and promote and report read.

<algorithm>-seed<seed>.json      a Result
<algorithm>-seed<seed>.parquet   the scores of single tasks: columns set, shots, task, step, score; sets are
                                 "test" by the published protocol, "served", the same tasks as the model is
                                 served where that differs, and "gate", as served; "gate, alpha: <ablation>"
                                 is "gate" after adaptation with less of alpha (metasgd.ablation)
figures/                         of the lane, and of every checkpoint in a folder of its own
metrics/<algorithm>-seed<seed>.json  before, after, ci95 (of after), tasks: what DVC shows
runs.json                        the MLflow runs (components.artifacts.runs)
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pandas as pd
import pydantic
from pydantic import Field, TypeAdapter

from metasgd.errors import InputError

METRICS = "metrics"
ABLATED = "gate, alpha: "  # begins the name of a set
T = TypeVar("T")


# Adaptation may diverge; a score that is not a number is told as such, not lost.
NAN_AS_NAN: dict[str, Any] = {"ser_json_inf_nan": "constants"}


@dataclass(frozen=True)
class Score:
    """Mean over the tasks, and half the width of its 95 % interval, after `step` inner steps."""

    __pydantic_config__ = NAN_AS_NAN

    step: int
    mean: float
    ci95: float


@dataclass(frozen=True)
class ShotScores:
    """Scores of one set of test tasks. steps: step 0 is before adaptation; ascending."""

    task_set: str
    tasks: int
    steps: Annotated[list[Score], Field(min_length=1)]

    def at(self, step: int) -> Score:
        return next(score for score in self.steps if score.step == step)


@dataclass(frozen=True)
class TrainingRecord:
    iterations: int
    chosen_iteration: int | None
    device: str
    compiled: bool


@dataclass(frozen=True)
class Ablation:
    """Scores on the gate tasks with less of alpha, as served.

    name: what was taken away (metasgd.ablation). mean: of the scores.
    worth, ci95: what alpha is ahead by, task by task, turned so that positive is better; half its interval.
    """

    __pydantic_config__ = NAN_AS_NAN

    name: str
    mean: float
    worth: float
    ci95: float


@dataclass(frozen=True)
class Result:
    """<algorithm>-seed<seed>.json. Accuracy is a fraction, 0 to 1; a return is undiscounted.

    shots: examples (trajectories) to adapt on behind `steps`; other_shots: the same by another
        number of shots.
    served: the score after adaptation of the served model, which makes every prediction for itself;
        None where it is no other than that of the published protocol.
    adapted: the inner steps whose score counts as "after adaptation"; `steps` may hold further ones.
    reference: shown beside the learners, never promoted.
    notes: remarks about the protocol, to be printed beside the scores.
    ablations: of a learned alpha; none for learners without one per parameter.
    trained_on: what its training's tasks were drawn from, where that is not what these were drawn from.
    """

    experiment: str
    algorithm: str
    seed: int
    metric: Literal["mse", "accuracy", "return"]
    higher_is_better: bool
    task_set: str
    tasks: int
    shots: int
    adapted: int
    data: str
    commit: str
    steps: Annotated[list[Score], Field(min_length=1)]
    other_shots: dict[int, ShotScores]
    reference: bool
    learner: dict[str, Any]
    network: dict[str, Any]
    notes: list[str]
    training: TrainingRecord | None
    served: Score | None = None
    ablations: list[Ablation] = field(default_factory=list)
    trained_on: str | None = None

    @property
    def name(self) -> str:
        return f"{self.algorithm}-seed{self.seed}"

    @property
    def after(self) -> Score:
        """The score after adaptation."""
        return self.scores()[self.shots].at(self.adapted)

    @property
    def as_served(self) -> Score:
        """The score after adaptation that a user of the served model gets."""
        return self.served or self.after

    def scores(self) -> dict[int, ShotScores]:
        """By number of shots, the reported one first."""
        return {self.shots: ShotScores(self.task_set, self.tasks, self.steps), **self.other_shots}


def read_scores(path: Path) -> pd.DataFrame:
    """The scores of single tasks. Raises InputError for a file that does not hold them."""
    try:
        return pd.read_parquet(path, columns=["set", "shots", "task", "step", "score"])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({type(error).__name__}); expected per-task scores") from None


def read_json(kind: type[T], path: Path) -> T:
    """Read a Result or a Decision. Raises InputError for a file that is missing or is not one."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError:
        raise InputError(f"{path}: no such file; expected the {kind.__name__.lower()} of a lane") from None
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{path}: {key or 'document'}: {problem['msg']}") from None
