"""What can be chosen about tasks, networks, learners and meta-training, as frozen dataclasses.

Plain Python without torch: command lines and pipelines check parameters with these, checkpoints
store them as JSON and rebuild a learner from them. Values have no defaults here: params.yaml is
the only place with defaults.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints


def _require(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise ValueError(f"{key} is {value!r}; expected {expected}")


def _require_counts(settings: object, *keys: str) -> None:
    for key in keys:
        value = getattr(settings, key)
        _require(value >= 1, key, value, "at least 1")


def _require_range(key: str, bounds: tuple[float, float]) -> None:
    _require(bounds[0] <= bounds[1], key, list(bounds), "[low, high] with low <= high")


class Settings:
    """Base of the settings: unknown keys and mistyped values are refused, not converted."""

    __pydantic_config__: Mapping[str, Any] = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class SinusoidSettings(Settings):
    """Sine regression, section 5.1: y = A sin(w x + b), every task a new (A, w, b)."""

    shots: int
    queries: int
    amplitude: tuple[float, float]
    frequency: tuple[float, float]
    phase: tuple[float, float]
    interval: tuple[float, float]

    def __post_init__(self) -> None:
        _require_counts(self, "shots", "queries")
        for key in ("amplitude", "frequency", "phase", "interval"):
            _require_range(key, getattr(self, key))


@dataclass(frozen=True)
class EpisodeSettings(Settings):
    """N-way K-shot classification, section 5.2: `ways` classes, `shots` + `queries` pictures each."""

    ways: int
    shots: int
    queries: int

    def __post_init__(self) -> None:
        _require(self.ways >= 2, "ways", self.ways, "at least 2")
        _require_counts(self, "shots", "queries")


@dataclass(frozen=True)
class MlpSettings(Settings):
    """Fully connected network with ReLU between its layers (section 5.1: hidden 40, 40)."""

    kind: Literal["mlp"]
    hidden: tuple[int, ...]

    def __post_init__(self) -> None:
        _require(all(width >= 1 for width in self.hidden), "hidden", self.hidden, "widths of at least 1")


@dataclass(frozen=True)
class ConvNetSettings(Settings):
    """Blocks of 3x3 convolution, batch norm, ReLU and halving, then a linear classifier (section 5.2).

    halving: "pooling" (2x2 max-pool) or "strides" (stride-2 convolutions).
    extra: width of an additional linear layer with ReLU before the classifier; 0 for none.
    transductive: whether query pictures are normalised with the statistics of the whole query
        batch (as in almost all published numbers) or with those of the support set.
    """

    kind: Literal["convnet"]
    blocks: int
    filters: int
    halving: Literal["pooling", "strides"]
    extra: int
    transductive: bool

    def __post_init__(self) -> None:
        _require_counts(self, "blocks", "filters")
        _require(self.extra >= 0, "extra", self.extra, "a width, or 0 for none")


NetworkSettings = MlpSettings | ConvNetSettings
NETWORKS: dict[str, type[NetworkSettings]] = {"mlp": MlpSettings, "convnet": ConvNetSettings}


@dataclass(frozen=True)
class LearnerSettings(Settings):
    """How alpha is shaped, where it starts, and how the meta-gradient treats the inner step.

    alpha: "per-parameter" is Meta-SGD, "scalar" one learned rate for all parameters, "fixed" one
        constant rate (MAML), "none" no inner step at all.
    start: alpha starts at one value drawn uniformly from [low, high].
    order: "second" differentiates through the inner gradient; "first" takes it as a constant.
    steps: inner steps in meta-training; at test any number can be asked for.
    trained: False leaves theta at its random start: training each task from scratch.
    """

    alpha: Literal["per-parameter", "scalar", "fixed", "none"]
    start: tuple[float, float]
    order: Literal["second", "first"]
    steps: int
    test_steps: int
    trained: bool

    def __post_init__(self) -> None:
        # A checkpoint's JSON is read without pydantic.
        for key, known in get_type_hints(type(self)).items():
            if get_origin(known) is Literal:
                value, allowed = getattr(self, key), get_args(known)
                _require(value in allowed, key, value, f"one of {allowed}")
        _require_range("start", self.start)
        _require_counts(self, "steps", "test_steps")

    @property
    def is_reference(self) -> bool:
        """References are shown beside the learners, and are never promoted."""
        return self.alpha == "none" or not self.trained


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Meta-training (Algorithm 1).

    rate: Adam's step size for theta and alpha.
    schedule: "constant", or "cosine" from the rate down to zero over the iterations.
    validate_every: iterations between scores on the validation tasks, which choose the checkpoint.
    select: "best" keeps the checkpoint with the best validation score, "last" the last one.
    threads: CPU threads; fixed, because the order of additions decides the last bits.
    compile_from: runs of at least this many iterations compile the meta-gradient with
        torch.compile; shorter ones would spend more time compiling than they save.
    device: "cpu", "cuda", or "auto" for CUDA where there is any.
    """

    iterations: int
    meta_batch: int
    rate: float
    schedule: Literal["constant", "cosine"]
    validate_every: int
    select: Literal["best", "last"]
    threads: int
    compile_from: int
    device: Literal["cpu", "cuda", "auto"]

    def __post_init__(self) -> None:
        _require_counts(self, "iterations", "meta_batch", "validate_every", "threads", "compile_from")
        _require(0 < self.rate < math.inf, "rate", self.rate, "a number above 0")
