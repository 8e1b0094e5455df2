"""What is taken away from alpha, by hand, and that nothing else is."""

import torch

from metasgd.ablation import ablations
from metasgd.learner import Meta
from metasgd.seeds import generator
from tests.metasgd.small import ALPHAS, sine_learner

LEARNER = sine_learner(hidden=(2,), start=(0.5, 0.5))
ALPHA = {
    "linear0.weight": torch.tensor([[1.0, -2.0]]),
    "linear0.bias": torch.tensor([3.0, 6.0]),
    "linear1.weight": torch.tensor([[-1.0], [0.5]]),
    "linear1.bias": torch.tensor([2.0]),
}
META = Meta(LEARNER.initial(generator(7, "theta")).theta, ALPHA)
FOUND = ablations(LEARNER, META, seed=7)


def values(name: str) -> list[list[float]]:
    return [value.flatten().tolist() for value in FOUND[name].alpha.values()]


def test_each_is_what_its_name_says() -> None:
    """Entries of linear0: 1, -2, 3, 6, mean 2; of linear1: -1, .5, 2, mean .5; of all: 9.5 / 7."""
    mean = 9.5 / 7
    assert torch.allclose(
        torch.tensor([entry for part in values("mean") for entry in part]), torch.full((7,), mean)
    )
    assert values("layer-means") == [[2, 2], [2, 2], [0.5, 0.5], [0.5]]
    assert values("unsigned") == [[1, 2], [3, 6], [1, 0.5], [2]]
    assert values("head-only") == [[0, 0], [0, 0], [-1, 0.5], [2]]
    assert values("body-only") == [[1, -2], [3, 6], [0, 0], [0]]
    assert values("start") == [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5]]


def test_entries_are_shuffled_within_their_layer() -> None:
    weight, bias, head_weight, head_bias = values("shuffled")
    assert sorted(weight + bias) == [-2, 1, 3, 6]
    assert sorted(head_weight + head_bias) == [-1, 0.5, 2]
    again = ablations(LEARNER, META, seed=7)["shuffled"].alpha
    assert all(torch.equal(again[name], FOUND["shuffled"].alpha[name]) for name in ALPHA)


def test_theta_stays_and_shapes_are_alphas() -> None:
    for ablated in FOUND.values():
        assert ablated.theta is META.theta
        assert {name: value.shape for name, value in ablated.alpha.items()} == {
            name: value.shape for name, value in ALPHA.items()
        }


def test_learners_without_an_alpha_per_parameter_have_none() -> None:
    for alpha in ALPHAS[1:]:
        learner = sine_learner(alpha)
        assert ablations(learner, learner.initial(generator(7, "theta")), seed=7) == {}
