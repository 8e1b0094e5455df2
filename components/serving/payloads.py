"""What requests and responses hold, and how JSON's lists become tensors.

A model of pictures takes lists of examples, a model of curves takes `Points`, a policy `Drawn` trajectories.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from torch import Tensor

from metasgd.errors import InputError

MOST_STEPS = 100
KEY = 60  # characters of a key that a message shows
LARGEST = torch.finfo(torch.float32).max

Nested = Annotated[list[Any], Field(description="lists in lists of finite numbers")]
ClassName = Annotated[str, Field(min_length=1, max_length=200)]
Steps = Annotated[
    int | None,
    Field(ge=0, le=MOST_STEPS, description="inner steps; 0: before adaptation; null: the model's own number"),
]
Probabilities = Annotated[bool, Field(description="give the probabilities of all classes")]


class Payload(BaseModel):
    """Nothing is converted, and nothing ignored: a wrong type or an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _require_known(cls, given: Any) -> Any:
        """Before pydantic would find an error for each of a million unknown keys."""
        if isinstance(given, dict):
            known = [str(field.validation_alias or name) for name, field in cls.model_fields.items()]
            for key in given:
                if key not in known:
                    raise ValueError(f"{key[:KEY]!r} is unknown; expected some of {', '.join(known)}")
        return given


class Query(Payload):
    """An example: a picture, or values."""

    picture: str | None = Field(
        None, description="base64 of a PNG or JPEG file; resized, turned grey and inverted as in training"
    )
    values: Nested | None = Field(None, description="of the model's input shape, from 0 to 1")

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if (self.picture is None) == (self.values is None):
            raise ValueError("expected either picture or values")
        return self


class Labelled(Query):
    """An example of a class, which may have any name."""

    class_: ClassName = Field(validation_alias="class")


class Points(Payload):
    """x [examples, *input shape] and y [examples, outputs]."""

    x: Nested
    y: Nested


class Places(Payload):
    """x [queries, *input shape]."""

    x: Nested


class Drawn(Payload):
    """Trajectories that the policy before adaptation drew (`sampling_seed`): observations and actions
    [trajectories, time, numbers], rewards and alive (true or false) [trajectories, time]."""

    observations: Nested
    actions: Nested
    rewards: Nested
    alive: Nested


class Observations(Payload):
    """observations [queries, numbers]. With a sampling_seed, actions are drawn from the policy, unclipped;
    without one, they are its means, clipped as in its environment."""

    observations: Nested
    sampling_seed: int | None = Field(None, ge=0, lt=2**63)


# Between a key and what it holds in the place of an error; they are nothing that a user wrote.
TAGS = LISTED, POINTS, POLICY = "(listed)", "(points)", "(policy)"


def _shape_of(value: object) -> str | None:
    """Which of the alternatives is meant, so that an error is about that one."""
    if isinstance(value, dict):
        return POLICY if "observations" in value else POINTS
    return LISTED if isinstance(value, list) else None


FIRST = Field(fail_fast=True)  # not an error for each of a million examples
_BY_SHAPE = Discriminator(
    _shape_of, "shape", "Input should be a list of examples, or {x, ...}, or {observations, ...}"
)
Support = Annotated[
    Annotated[list[Labelled], FIRST, Tag(LISTED)]
    | Annotated[Points, Tag(POINTS)]
    | Annotated[Drawn, Tag(POLICY)],
    _BY_SHAPE,
]
Queries = Annotated[
    Annotated[list[Query], FIRST, Tag(LISTED)]
    | Annotated[Places, Tag(POINTS)]
    | Annotated[Observations, Tag(POLICY)],
    _BY_SHAPE,
]


class AdaptRequest(Payload):
    support: Support
    steps: Steps = None


class PredictRequest(Payload):
    queries: Queries
    probabilities: Probabilities = False


class TaskRequest(Payload):
    support: Support
    queries: Queries
    steps: Steps = None


class TasksRequest(Payload):
    tasks: Annotated[list[TaskRequest], Field(min_length=1, fail_fast=True)]
    probabilities: Probabilities = False


class AdaptResponse(Payload):
    """classes: sorted by name, of classifiers alone. bytes: of memory."""

    id: str
    expires: datetime
    classes: list[str] | None = None
    bytes: int


class Prediction(Payload):
    """probability: of this class. probabilities: of every class, in the order of `classes`."""

    class_: str = Field(serialization_alias="class")
    probability: float
    probabilities: list[float] | None = None


class ClassesResponse(Payload):
    """A prediction for each query, in their order. classes: sorted by name."""

    classes: list[str]
    predictions: list[Prediction]


class ValuesResponse(Payload):
    """values [queries, outputs]."""

    values: list[list[float]]


class ActionsResponse(Payload):
    """actions [queries, actions]."""

    actions: list[list[float]]


Answer = ClassesResponse | ValuesResponse | ActionsResponse


class TasksResponse(Payload):
    """An answer for each task, in their order."""

    tasks: list[Answer]


class ModelResponse(Payload):
    """name: as it was asked for. version: in the registry; null for a checkpoint folder.

    trained_ways: the number of classes in training; null for what is no classifier.
    any_ways: tasks may have more classes than that; otherwise, 2 classes up to that.
    steps: inner steps where a request names none.
    """

    name: str
    version: str | None
    algorithm: str
    seed: int
    kind: str
    objective: str
    input_shape: list[int]
    outputs: int
    trained_ways: int | None
    any_ways: bool | None
    steps: int


class Health(Payload):
    status: Literal["ok"] = "ok"


class Problem(Payload):
    """Where it is wrong, and what was expected, in one line."""

    detail: str


def numbers(values: list[Any], shape: tuple[int, ...], where: str) -> Tensor:
    """float32 of this shape. Raises InputError for another shape, and for what is no finite number."""
    flat: list[float] = []
    _collect(values, shape, where, flat)
    for value in flat:
        # A comparison that NaN fails, too; true and false are int's in Python.
        if type(value) not in (int, float) or not abs(value) <= LARGEST:
            raise InputError(f"{where} holds what is no finite number; expected [{listed(shape)}] numbers")
    return torch.tensor(flat, dtype=torch.float32).reshape(shape)


def truths(values: list[Any], shape: tuple[int, ...], where: str) -> Tensor:
    """bool of this shape. Raises InputError."""
    flat: list[Any] = []
    _collect(values, shape, where, flat)
    if not all(type(value) is bool for value in flat):
        raise InputError(f"{where} holds what is not true or false; expected [{listed(shape)}] of these")
    return torch.tensor(flat, dtype=torch.bool).reshape(shape)


def listed(shape: tuple[int, ...]) -> str:
    return ", ".join(str(side) for side in shape)


def _collect(value: Any, shape: tuple[int, ...], where: str, flat: list[Any]) -> None:
    """Append what lies in `len(shape)` lists, each as long as it should be."""
    if not isinstance(value, list) or len(value) != shape[0]:
        found = f"has length {len(value)}" if isinstance(value, list) else "is no list"
        raise InputError(f"{where} {found}; expected {shape[0]}, of the shape [{listed(shape)}]")
    if len(shape) == 1:
        flat += value
        return
    for number, item in enumerate(value):
        _collect(item, shape[1:], f"{where}.{number}", flat)
