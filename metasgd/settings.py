"""What every class of settings has in common: values that make no sense are refused, whoever makes them."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints


def require(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise ValueError(f"{key} is {value!r}; expected {expected}")


def require_counts(settings: object, *keys: str) -> None:
    for key in keys:
        value = getattr(settings, key)
        require(value >= 1, key, value, "at least 1")


def require_range(key: str, bounds: tuple[float, float]) -> None:
    require(bounds[0] <= bounds[1], key, list(bounds), "[low, high] with low <= high")


def require_positive(settings: object, key: str) -> None:
    value = getattr(settings, key)
    require(0 < value < math.inf, key, value, "a number above 0")


def require_known(settings: object) -> None:
    """pydantic checks literals itself; a checkpoint's JSON and Gymnasium's keywords come without it."""
    for key, known in get_type_hints(type(settings)).items():
        if get_origin(known) is Literal:
            value, allowed = getattr(settings, key), get_args(known)
            require(value in allowed, key, value, f"one of {allowed}")


class Settings:
    """Base of the settings: unknown keys and mistyped values are refused, not converted.

    Impossible values raise ValueError, whoever makes the settings: pydantic, a checkpoint's JSON, Gymnasium.
    """

    __pydantic_config__: Mapping[str, Any] = {"extra": "forbid", "strict": True}

    def __post_init__(self) -> None:
        require_known(self)
        self.check()

    def check(self) -> None:
        """Raises ValueError for what the types cannot say."""
