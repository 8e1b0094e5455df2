"""Tiny trainings of every kind end where they ended before: recorded numbers, which no rebuilding may move.

The recordings are of 2026-11-25, commit dd84e15, torch 2.15.0; `machine` names the processor. There, the bits
are the same; elsewhere, sums are taken in another order, and the numbers are the same to rounding.

A change that is meant to move them records anew, with its reason: python -m tests.metasgd.test_recorded_bits
"""

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save_file

from metasgd.adaptation import Learner, Problem
from metasgd.checkpoint import pack
from metasgd.loop import Outcome
from metasgd.reinforcement import meta_train_policy
from metasgd.seeds import generator
from metasgd.tasks.images import ClassIndex, ImageEpisodes
from metasgd.training import meta_train
from tests.metasgd.small import (
    convnet_settings,
    episode_settings,
    learner_settings,
    navigation,
    policy_learner,
    sine_learner,
    sinusoid,
    training_settings,
    trpo_settings,
)

RECORDINGS = Path(__file__).with_name("recorded")


def sine() -> Outcome:
    return meta_train(sine_learner(), sinusoid(), lambda meta: 0.0, training_settings(), seed=1)


def images() -> Outcome:
    pictures = torch.randint(256, (24, 1, 8, 8), generator=generator(1, "pictures"), dtype=torch.uint8)
    episodes = ImageEpisodes(episode_settings(3, 1, 1), pictures, ClassIndex.of(torch.full((6,), 4)))
    problem = Problem("classification", (1, 8, 8), 3)
    learner = Learner.build(problem, convnet_settings(), learner_settings(start=(0.1, 0.1)))
    return meta_train(learner, episodes, lambda meta: 0.0, training_settings(), seed=1)


def policies() -> Outcome:
    return meta_train_policy(
        policy_learner(), navigation(horizon=5), lambda meta: 0.0, trpo_settings(), 1, shots=4, queries=4
    )


TRAININGS: dict[str, Callable[[], Outcome]] = {"sine": sine, "images": images, "policies": policies}


def machine() -> str:
    """The processor's model, and torch's version."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, torch {torch.__version__}"


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_ends_where_it_ended(name: str) -> None:
    """theta and alpha: the same bits on the machine of the recording, the same numbers on any."""
    path = RECORDINGS / f"{name}.safetensors"
    expected, found = load(path.read_bytes()), pack(TRAININGS[name]().meta)
    with safe_open(path, "pt") as file:
        is_same_machine = file.metadata()["machine"] == machine()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-5)
        assert not is_same_machine or torch.equal(found[key], value), key


if __name__ == "__main__":
    RECORDINGS.mkdir(exist_ok=True)
    for name, training in TRAININGS.items():
        tensors, about = pack(training().meta), {"machine": machine()}
        save_file(tensors, RECORDINGS / f"{name}.safetensors", metadata=about)
