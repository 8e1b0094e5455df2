"""Settings refuse what they do not know, whoever makes them."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from metasgd.configuration import MlpSettings, NavigationSettings, PolicySettings
from metasgd.settings import Settings
from tests.metasgd.small import (
    convnet_settings,
    learner_settings,
    navigation,
    training_settings,
    trpo_settings,
)

MADE: dict[str, Callable[[], Settings]] = {
    "convnet": convnet_settings,
    "learner": learner_settings,
    "training": training_settings,
    "trpo": trpo_settings,
    "mlp": lambda: MlpSettings("mlp", (2,)),
    "policy": lambda: PolicySettings("policy", (2,), 1.0, 0.1),
    "navigation": lambda: navigation().settings,
}


@pytest.mark.parametrize(
    ("made", "key", "value", "allowed"),
    [
        ("convnet", "halving", "pool", ("pooling", "strides")),
        ("convnet", "kind", "mlp", ("convnet",)),
        ("learner", "alpha", "per_parameter", ("per-parameter", "scalar", "fixed", "curvature", "none")),
        ("training", "schedule", "cosin", ("constant", "cosine")),
        ("training", "device", "gpu", ("cpu", "cuda", "auto")),
        ("trpo", "estimator", "dise", ("plain", "dice")),
        ("trpo", "select", "worst", ("best", "last")),
        ("mlp", "kind", "convnet", ("mlp",)),
        ("policy", "kind", "mlp", ("policy",)),
        ("navigation", "reward", "square", ("distance", "squared")),
    ],
)
def test_an_unknown_word_is_refused_outside_of_pydantic_too(
    made: str, key: str, value: str, allowed: tuple[str, ...]
) -> None:
    """The line names the key, what it was given and what it takes."""
    expected = f"{key} is {value!r}; expected one of {allowed!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        replace(MADE[made](), **{key: value})


def test_impossible_values_are_refused() -> None:
    """Beside the words, every class checks its numbers."""
    with pytest.raises(ValueError, match="blocks is 0; expected at least 1"):
        replace(convnet_settings(), blocks=0)
    with pytest.raises(ValueError, match=r"backtrack_ratio is 1\.0"):
        replace(trpo_settings(), backtrack_ratio=1.0)
    settings = navigation().settings
    assert isinstance(settings, NavigationSettings)
    with pytest.raises(ValueError, match="horizon is 0"):
        replace(settings, horizon=0)
