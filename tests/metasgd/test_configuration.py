"""Settings refuse what they do not know, whoever makes them."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from metasgd.configuration import MlpSettings, NavigationSettings, PolicySettings, Settings
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
    ("made", "key", "value"),
    [
        ("convnet", "halving", "pool"),
        ("convnet", "kind", "mlp"),
        ("learner", "alpha", "per_parameter"),
        ("training", "schedule", "cosin"),
        ("training", "device", "gpu"),
        ("trpo", "estimator", "dise"),
        ("trpo", "select", "worst"),
        ("mlp", "kind", "convnet"),
        ("policy", "kind", "mlp"),
        ("navigation", "reward", "square"),
    ],
)
def test_an_unknown_word_is_refused_outside_of_pydantic_too(made: str, key: str, value: str) -> None:
    """The line names the key and what it was given."""
    with pytest.raises(ValueError, match=rf"{key} is {re.escape(repr(value))}; expected one of \("):
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
