"""A network with a memory: reads and writes by hand, and how it meets a task."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metasgd.errors import InputError
from metasgd.evaluation import score
from metasgd.learner import Meta, Problem
from metasgd.learner_settings import MemorySettings
from metasgd.learners import build_learner
from metasgd.memory import EMPTY, MemoryLearner, State, least_used
from metasgd.serving import ServedModel
from metasgd.tasks import Examples
from tests.metasgd.agreeing import compiled_agrees, learns_and_repeats, slopes_agree
from tests.metasgd.pictures import episodes, one, tasks
from tests.metasgd.small import as_double, convnet_settings, double, start, training_settings

SETTINGS = MemorySettings("memory", side=3, controller=8, slots=6, width=2, heads=1, decay=0.5)


def memory_learner(ways: int = 3, **changes: Any) -> MemoryLearner:
    problem = Problem("classification", (1, 6, 6), ways)
    learner = build_learner(problem, convnet_settings(), replace(SETTINGS, **changes))
    assert isinstance(learner, MemoryLearner)
    return learner


def constant_heads(learner: MemoryLearner, read: list[float], write: list[float], gate: float) -> Meta:
    """Heads whose keys are tanh of these, and whose gate is sigmoid of this, whatever is seen."""
    theta = as_double(start(learner)).theta
    theta["heads.weight"] = torch.zeros_like(theta["heads.weight"])
    theta["heads.bias"] = torch.tensor([*read, *write, gate], dtype=torch.float64)
    return Meta(theta, {})


def numbers(*rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_least_used_slots() -> None:
    assert least_used(numbers(0.3, 0.1, 0.2, 0.4), 2).tolist() == [0, 1, 1, 0]
    assert least_used(numbers(0.0, 0.0, 0.0), 1).tolist() == [1, 0, 0]


def test_writes_and_reads_by_hand() -> None:
    """A gate of 1/2 writes half of the key to where it read last, half to the least used slot, once empty."""
    learner = memory_learner(slots=3)
    meta = constant_heads(learner, read=[1.0, 0.0], write=[0.0, 1.0], gate=0.0)
    before = learner.empty(numbers(0.0))._replace(
        memory=numbers([1.0, 0.0], [0.0, 1.0], [3.0, 4.0]),
        usage=numbers(0.9, 0.8, 0.1),
        weights=numbers([1.0, 0.0, 0.0]),
    )
    _, after = learner.see(meta.theta, before, torch.zeros(9, dtype=torch.float64))
    key = math.tanh(1)
    memory = numbers([1.0, key / 2], [0.0, 1.0], [0.0, key / 2])
    torch.testing.assert_close(after.memory, memory)
    # Cosines of the key (1, 0) with the three slots.
    cosines = numbers(1 / math.hypot(1.0, key / 2), 0.0, 0.0)
    torch.testing.assert_close(after.weights[0], cosines.softmax(-1))
    torch.testing.assert_close(after.read, cosines.softmax(-1) @ memory)
    writes = numbers(0.5, 0.0, 0.5)
    usage = 0.5 * before.usage + cosines.softmax(-1) + writes
    torch.testing.assert_close(after.usage, usage)


def test_labels_come_one_step_late() -> None:
    """What is said of a picture does not depend on its own label, and the next picture's does."""
    learner = memory_learner()
    theta, state = start(learner).theta, learner.empty(torch.zeros(()))
    pictures, labels = torch.rand(3, 9), torch.eye(3)
    outputs, _ = learner.sequence(theta, state, pictures, labels)
    other, _ = learner.sequence(theta, state, pictures, labels[torch.tensor([0, 2, 2])])
    assert torch.equal(other[:2], outputs[:2])
    assert not torch.equal(other[2], outputs[2])


def test_every_task_starts_with_an_empty_memory() -> None:
    learner, task = memory_learner(), one(tasks(1))
    before, after = learner.adaptations(start(learner), task.support, 1)
    assert before.context["memory"].unique().tolist() == pytest.approx([EMPTY])
    assert not before.context["usage"].any()
    assert after.context["usage"].any()
    again = learner.adapt(start(learner), task.support)
    assert torch.equal(again.context["memory"], after.context["memory"])


def test_the_order_of_examples_means_nothing() -> None:
    learner, task = memory_learner(), one(tasks(1))
    meta, order = start(learner), torch.tensor([5, 1, 0, 3, 4, 2])
    outputs = learner.predict(learner.adapt(meta, task.support), task.query_x)
    shuffled = Examples(task.support_x[order], task.support_y[order])
    assert torch.equal(learner.predict(learner.adapt(meta, shuffled), task.query_x), outputs)


def test_a_query_does_not_depend_on_the_others() -> None:
    """So what is scored is what is served."""
    learner, task = memory_learner(), one(tasks(1))
    meta = start(learner)
    adapted = learner.adapt(meta, task.support)
    together = learner.predict(adapted, task.query_x)
    torch.testing.assert_close(learner.predict(adapted, task.query_x[2:3]), together[2:3])
    assert learner.served is learner
    served = ServedModel(learner, meta).adapt(task.support)
    torch.testing.assert_close(served.predict(task.query_x), together)


def test_other_numbers_of_classes_are_refused() -> None:
    learner = memory_learner()
    with pytest.raises(InputError, match="2 classes; expected 3, as its memory was trained on"):
        learner.for_ways(start(learner), 2)


def test_gradients_are_those_of_finite_differences() -> None:
    learner, batch = memory_learner(), double(tasks(2, shots=1))
    meta = as_double(start(learner))
    slopes_agree(learner, meta, batch, meta.theta, size=1e-6, rel=1e-4, atol=1e-8)


def test_the_loss_counts_support_pictures_before_their_labels() -> None:
    """With outputs that are all 0, both parts are log of the number of classes."""
    learner, task = memory_learner(), one(tasks(1))
    meta = start(learner)
    meta.theta["output.weight"].zero_()
    loss = learner.query_loss(learner.adapt(meta, task.support), task)
    assert float(loss) == pytest.approx(2 * math.log(3))


def test_training_learns_and_repeats_bit_for_bit() -> None:
    settings = training_settings(iterations=60, validate_every=30, rate=0.01)
    learns_and_repeats(memory_learner(), episodes(), settings, few=10)


def test_scores_have_the_shape_of_all_learners() -> None:
    learner, batch = memory_learner(), tasks(4)
    assert score(learner, start(learner), batch, steps=1).shape == (4, 2)


def test_compiled_is_the_same_to_rounding() -> None:
    compiled_agrees(memory_learner(), tasks(2, shots=1), atol=1e-6)


def test_the_state_names_what_is_kept() -> None:
    learner, task = memory_learner(), one(tasks(1))
    adapted = learner.adapt(start(learner), task.support)
    assert set(State._fields) <= set(adapted.context)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"heads is 9; expected at most slots \(6\)"):
        replace(SETTINGS, heads=9)
    with pytest.raises(ValueError, match=r"decay is 1\.0; expected a number from 0 to below 1"):
        replace(SETTINGS, decay=1.0)
