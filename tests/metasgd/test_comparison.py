"""Learners that compare features, by hand on pictures of one pixel, and in what they have in common."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from metasgd.comparison import ComparingLearner, MatchingLearner, PrototypeLearner, SiameseLearner
from metasgd.configuration import MlpSettings
from metasgd.errors import InputError
from metasgd.evaluation import score
from metasgd.learner import Adapted, Problem
from metasgd.learner_settings import MatchingSettings, PrototypeSettings, SiameseSettings
from metasgd.learners import build_learner
from metasgd.seeds import generator
from metasgd.serving import ServedModel
from metasgd.tasks import Batch, Examples
from tests.metasgd.agreeing import compiled_agrees, learns_and_repeats, slopes_agree
from tests.metasgd.pictures import episodes, one, tasks
from tests.metasgd.small import (
    as_double,
    convnet_settings,
    double,
    start,
    training_settings,
)

SETTINGS = {
    "prototypes": PrototypeSettings("prototypes", scale=1.0, ways=0),
    "cosine": MatchingSettings("matching", "cosine", scale=10.0, ways=0),
    "euclidean": MatchingSettings("matching", "euclidean", scale=1.0, ways=0),
    "siamese": SiameseSettings("siamese", ways=0),
}
NORMALISATIONS = ("transductive", "inductive", "joint")


def comparing(name: str, ways: int = 3, **network: Any) -> ComparingLearner:
    problem = Problem("classification", (1, 6, 6), ways)
    learner = build_learner(problem, convnet_settings(**network), SETTINGS[name])
    assert isinstance(learner, ComparingLearner)
    return learner


def features(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


LABELS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)  # two shots, and one
SUPPORT = features([[0.0, 1.0], [2.0, 1.0], [0.0, 4.0]])


def test_prototypes_by_hand() -> None:
    """The means are (1, 1) and (0, 4); from (1, 2), they are 1 and 1 + 4 away, squared, times scale."""
    learner = comparing("prototypes")
    kept = learner.kept(SUPPORT, LABELS)
    assert torch.equal(kept["prototypes"], features([[1.0, 1.0], [0.0, 4.0]]))
    assert torch.equal(learner.compare({}, kept, features([[1.0, 2.0]])), features([[-1.0, -5.0]]))
    halved = replace(learner, settings=PrototypeSettings("prototypes", scale=0.5, ways=0))
    assert torch.equal(halved.compare({}, kept, features([[1.0, 2.0]])), features([[-0.5, -2.5]]))


def test_matching_by_hand() -> None:
    """Squared distances of (1, 2) are 2, 2 and 5: the vote for class 0 is 2 e^-2 / (2 e^-2 + e^-5)."""
    learner = comparing("euclidean")
    outputs = learner.compare({}, learner.kept(SUPPORT, LABELS), features([[1.0, 2.0]]))
    first = 2 * math.exp(-2) / (2 * math.exp(-2) + math.exp(-5))
    torch.testing.assert_close(outputs.exp(), features([[first, 1 - first]]))
    # Log probabilities: softmax leaves them, so cross-entropy is the vote's negative log likelihood.
    torch.testing.assert_close(outputs.softmax(-1), outputs.exp())


def test_matching_by_cosine_by_hand() -> None:
    """The cosines of (3, 4) with the support are .8, 2/sqrt5 and .8, times a scale of 10."""
    learner = comparing("cosine")
    outputs = learner.compare({}, learner.kept(SUPPORT, LABELS), features([[3.0, 4.0]]))
    votes = [math.exp(8), math.exp(20 / math.sqrt(5)), math.exp(8)]
    first = (votes[0] + votes[1]) / sum(votes)
    torch.testing.assert_close(outputs.exp(), features([[first, 1 - first]]))


def test_siamese_by_hand() -> None:
    """Differences of (1, 2) are (1, 1), (1, 1) and (1, 2); weights 2, -3 and bias 1 make 0, 0 and -3."""
    learner = comparing("siamese")
    theta = {"similarity.weight": features([[2.0], [-3.0]]), "similarity.bias": features([[1.0]])[0]}
    kept = learner.kept(SUPPORT, LABELS)
    assert torch.equal(learner.compare(theta, kept, features([[1.0, 2.0]])), features([[0.0, -3.0]]))


def test_siamese_logits_are_symmetric() -> None:
    """Of two pictures, it does not matter which is the query."""
    learner = comparing("siamese")
    assert isinstance(learner, SiameseLearner)
    theta = as_double(start(learner)).theta
    some = torch.randn((4, len(theta["similarity.weight"])), dtype=torch.float64, generator=generator(1, "f"))
    logits = learner.pairs(theta, {"features": some}, some)
    torch.testing.assert_close(logits, logits.mT)
    torch.testing.assert_close(logits.diagonal(), theta["similarity.bias"].expand(4))


def test_the_loss_of_pairs_is_balanced() -> None:
    """Where all logits are 0, pairs of one class and the others both lose log 2, however many there are."""
    learner = comparing("siamese")
    task = one(tasks(1))
    meta = start(learner)
    meta.theta["similarity.weight"].zero_()
    loss = learner.query_loss(learner.adapt(meta, task.support), task)
    assert float(loss) == pytest.approx(math.log(2))
    meta.theta["similarity.bias"].fill_(1.0)  # all pairs seem alike: right for a third of them
    loss = learner.query_loss(learner.adapt(meta, task.support), task)
    alike, other = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert float(loss) == pytest.approx((alike + other) / 2)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_before_the_support_is_seen_classes_do_not_differ(name: str, normalisation: str) -> None:
    learner, batch = comparing(name, normalisation=normalisation), tasks(4)
    scores = score(learner, start(learner), batch, steps=1)
    assert scores[:, 0].tolist() == pytest.approx([1 / 3] * 4)
    if name != "siamese":  # whose comparison has to be learned
        assert float(scores[:, 1].mean()) > 1 / 3


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_order_of_classes_and_of_examples_means_nothing(name: str, normalisation: str) -> None:
    learner, task = comparing(name, normalisation=normalisation), double(one(tasks(1)))
    meta = as_double(start(learner))
    outputs = learner.predict(learner.adapt(meta, task.support), task.query_x)
    order, classes = torch.tensor([5, 1, 0, 3, 4, 2]), torch.tensor([2, 0, 1])
    shuffled = Examples(task.support_x[order], classes[task.support_y[order]])
    other = learner.predict(learner.adapt(meta, shuffled), task.query_x)
    torch.testing.assert_close(other[:, classes], outputs)


@pytest.mark.parametrize("name", SETTINGS)
def test_any_number_of_classes(name: str) -> None:
    """Trained on three, eight are told apart."""
    learner = comparing(name, normalisation="inductive")
    wide, meta = learner.for_ways(start(learner), 8)
    task = one(tasks(1, ways=8))
    assert wide.predict(wide.adapt(meta, task.support), task.query_x).shape == (16, 8)
    with pytest.raises(InputError, match="1 classes; expected 2 or more"):
        learner.for_ways(meta, 1)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_gradients_are_those_of_finite_differences(name: str, normalisation: str) -> None:
    learner, batch = comparing(name, normalisation=normalisation, filters=2), double(tasks(2))
    meta = as_double(start(learner))
    slopes_agree(learner, meta, batch, meta.theta, size=1e-6, rel=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", SETTINGS)
def test_batched_equals_one_by_one(name: str) -> None:
    learner, batch = comparing(name, normalisation="joint"), tasks(3)
    meta = start(learner)

    def outputs(task: Batch) -> Tensor:
        return learner.predict(learner.adapt(meta, task.support), task.query_x)

    singly = torch.stack([outputs(Batch(*parts)) for parts in zip(*batch, strict=True)])
    torch.testing.assert_close(vmap(outputs)(batch), singly, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_served_predictions_are_those_that_are_scored(name: str) -> None:
    """One picture at a time, as `ServedModel` answers, and together, as tables have them."""
    learner, task = comparing(name, normalisation="joint"), one(tasks(1))
    meta = start(learner)
    scored = learner.served.predict(learner.served.adapt(meta, task.support), task.query_x)
    answered = ServedModel(learner, meta).adapt(task.support).predict(task.query_x)
    torch.testing.assert_close(answered, scored)


@pytest.mark.parametrize("name", SETTINGS)
def test_training_learns_and_repeats_bit_for_bit(name: str) -> None:
    learns_and_repeats(
        comparing(name), episodes(), training_settings(iterations=40, validate_every=20), few=5
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_compiled_is_the_same_to_rounding(name: str) -> None:
    compiled_agrees(comparing(name), tasks(2), atol=1e-5)


def test_one_shot_matching_by_distance_is_prototypes() -> None:
    """With one picture of a class, its prototype is that picture, and the vote its softmax."""
    task = one(tasks(1, shots=1))
    prototypes, matching = comparing("prototypes"), comparing("euclidean")
    meta = start(prototypes)
    adapted = [learner.adapt(meta, task.support) for learner in (prototypes, matching)]
    outputs = prototypes.predict(adapted[0], task.query_x)
    torch.testing.assert_close(matching.predict(adapted[1], task.query_x), outputs.log_softmax(-1))


def test_what_is_kept_is_small() -> None:
    """As served, of 18 support pictures three prototypes remain, and what normalises queries."""
    learner = comparing("prototypes", normalisation="inductive")
    assert isinstance(learner, PrototypeLearner)
    adapted: Adapted = learner.adapt(start(learner), one(tasks(1, shots=4)).support)
    assert adapted.context["prototypes"].shape == (3, learner.network.features)
    assert {name.partition(".")[0] for name in adapted.context} == {"prototypes", "norm0", "norm1"}


def test_other_networks_are_refused() -> None:
    problem = Problem("regression", (1,), 1)
    with pytest.raises(InputError, match=r"network\.kind is 'mlp'; expected 'convnet'"):
        build_learner(problem, MlpSettings("mlp", (4,)), SETTINGS["prototypes"])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="ways is 1; expected at least 2, or 0"):
        PrototypeSettings("prototypes", scale=1.0, ways=1)
    matching = comparing("cosine")
    assert isinstance(matching, MatchingLearner)
    with pytest.raises(ValueError, match=r"scale is 0\.0; expected a number above 0"):
        replace(matching.settings, scale=0.0)
