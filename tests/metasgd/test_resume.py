"""Saved states: whole or refused, and a training continued from any of them ends with the same bits."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from safetensors.torch import load, save

from metasgd.digests import tensors_digest
from metasgd.engine import has_compiler
from metasgd.errors import CheckpointError
from metasgd.loop import Outcome, Point, Resume, TrainingState
from metasgd.reinforcement import meta_train_policy
from metasgd.resume import DIGEST, TEXT, NotWholeError, SavedState, from_bytes, to_bytes
from metasgd.seeds import generator
from metasgd.training import meta_train
from tests.metasgd.small import (
    navigation,
    policy_learner,
    same,
    sine_learner,
    sinusoid,
    training_settings,
    trpo_settings,
)

Train = Callable[[Resume | None], Outcome]


def adam(alpha: str = "per-parameter", **changes: object) -> Train:
    """Algorithm 1; the score of an iteration is a number of theta itself."""
    settings = training_settings(select="best", schedule="cosine", **changes)
    return lambda resume: meta_train(
        sine_learner(alpha),
        sinusoid(),
        lambda meta: float(meta.theta["linear1.bias"].sum().sin()),
        settings,
        seed=1,
        resume=resume,
    )


def trpo(alpha: str = "per-parameter") -> Train:
    """Algorithm 2, likewise."""
    settings = trpo_settings(select="best", schedule="cosine")
    dynamics = navigation(horizon=5)
    return lambda resume: meta_train_policy(
        policy_learner(alpha, steps=2),
        dynamics,
        lambda meta: float(meta.theta["log_std"].sum().sin()),
        settings,
        1,
        shots=3,
        queries=3,
        resume=resume,
    )


@dataclass
class Recorder:
    """Implements `metasgd.loop.Resume`: remembers every state, and starts from one of them."""

    start: bytes | None = None
    states: list[bytes] = field(default_factory=list)

    def restore(self, state: TrainingState) -> None:
        if self.start is not None:
            from_bytes(self.start, "run", "here").restore(state)

    def save(self, state: TrainingState) -> None:
        self.states.append(to_bytes(state, "run", {"seconds": 2.5}))


def recorded(train: Train, start: bytes | None = None) -> tuple[Outcome, list[bytes]]:
    recorder = Recorder(start)
    return train(recorder), recorder.states


@pytest.mark.parametrize(
    "train", [adam(), adam("fixed"), trpo(), trpo("none")], ids=["Adam", "Adam, MAML", "TRPO", "TRPO, theta"]
)
def test_continued_from_any_point_it_ends_with_the_same_bits(train: Train) -> None:
    """Theta, alpha, choice and curve; and every later state is the same file, bit for bit."""
    whole, states = recorded(train)
    assert len(states) == len(whole.curve) > 5
    for number, start in enumerate(states):
        outcome, later = recorded(train, start)
        assert same(outcome.meta, whole.meta)
        assert outcome.curve == whole.curve
        assert outcome.iteration == whole.iteration
        assert later == states[number + 1 :]


@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler and Python's headers")
def test_a_compiled_training_continues_with_the_same_bits() -> None:
    """Compiled anew, as in another process."""
    train = adam(compile_from=1)
    whole, states = recorded(train)
    assert whole.compiled
    torch.compiler.reset()
    outcome, later = recorded(train, states[5])
    assert same(outcome.meta, whole.meta)
    assert outcome.curve == whole.curve
    assert later == states[6:]


def state() -> TrainingState:
    """One that was never trained."""
    return TrainingState.start(sine_learner(), 1, torch.device("cpu"))


def test_a_saved_state_says_what_it_holds() -> None:
    """Iteration, curve, and what else was remembered."""
    saved = from_bytes(recorded(adam())[1][6], "run", "here")
    assert isinstance(saved, SavedState)
    assert saved.iteration == 7
    assert [point.iteration for point in saved.curve] == [1, 2, 3, 4, 5, 6, 7]
    assert saved.about == {"seconds": 2.5}


def test_numbers_survive_the_text() -> None:
    """NaN and infinity in a curve, no score yet, and a generator in the middle of its stream."""
    before, after = state(), state()
    before.curve = [Point(3, {"loss": 0.1 + 0.2, "kl": float("inf")}, None)]
    before.iteration = 3
    torch.rand(5, generator=before.tasks)
    from_bytes(to_bytes(before, "run"), "run", "here").restore(after)
    assert after.curve == before.curve
    assert after.best_score is None
    assert torch.equal(torch.rand(5, generator=after.tasks), torch.rand(5, generator=before.tasks))
    before.curve = [Point(3, {"loss": float("nan")}, float("nan"))]
    assert str(from_bytes(to_bytes(before, "run"), "run", "here").curve) == str(before.curve)


def test_no_damage_goes_unnoticed() -> None:
    """A bit that flipped anywhere, or an end that is missing: refused, in one line that names the place."""
    whole = to_bytes(state(), "run")
    places = torch.randint(len(whole), (300,), generator=generator(1, "damage")).tolist()
    for place in [0, 8, 9, len(whole) - 1, *places]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        for damaged in (bytes(flipped), whole[:place]):
            with pytest.raises(NotWholeError, match=r"^here: not a whole resume file") as caught:
                from_bytes(damaged, "run", "here")
            assert "\n" not in str(caught.value)


def test_the_state_of_another_run_is_told_from_a_damaged_one() -> None:
    """It is whole, but belongs to other parameters, data or code."""
    with pytest.raises(CheckpointError, match="here: the state of run run; expected that of other") as caught:
        from_bytes(to_bytes(state(), "run"), "other", "here")
    assert not isinstance(caught.value, NotWholeError)


def test_a_state_is_a_snapshot() -> None:
    """What the training does afterwards does not reach it."""
    one = state()
    content = to_bytes(one, "run")
    again = to_bytes(replace(one), "run")
    one.meta.theta["linear1.bias"].add_(1)
    assert content == again != to_bytes(one, "run")


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("best/theta/linear0.bias"),
        lambda tensors: tensors.update({"now/theta/linear0.bias": torch.zeros(3)}),
        lambda tensors: tensors.update(tasks=torch.zeros(3, dtype=torch.uint8)),
    ],
)
def test_a_whole_state_of_another_form_is_refused(
    change: Callable[[dict[str, torch.Tensor]], object],
) -> None:
    """Its digest fits, and its tensors are not those of the training: one line."""
    tensors = load(to_bytes(state(), "run"))
    del tensors[DIGEST]
    change(tensors)
    digest = torch.frombuffer(bytearray(tensors_digest(tensors).encode()), dtype=torch.uint8)
    found = from_bytes(save({**tensors, DIGEST: digest}), "run", "here")
    with pytest.raises(NotWholeError, match=r"does not fit its training .*: delete the state") as refused:
        found.restore(state())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"identity": "run", "saved": {"curve": [1]}}'])
def test_a_whole_state_without_its_text_is_refused(text: str) -> None:
    tensors = load(to_bytes(state(), "run"))
    del tensors[DIGEST]
    tensors[TEXT] = torch.tensor(list(text.encode()), dtype=torch.uint8)
    digest = torch.frombuffer(bytearray(tensors_digest(tensors).encode()), dtype=torch.uint8)
    with pytest.raises(NotWholeError, match="here: not a resume file"):
        from_bytes(save({**tensors, DIGEST: digest}), "run", "here")
