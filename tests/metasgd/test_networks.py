"""The functional networks against torch.nn.functional."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from metasgd.configuration import ConvNetSettings, MlpSettings, PolicySettings
from metasgd.convnet import _max_pool, _patches
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.meta_gradient import meta_gradient
from metasgd.networks import Network, build
from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.trees import Parameters
from tests.metasgd.small import convnet_settings, learner_settings, start


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "pictures"))


def native(weight: Tensor) -> Tensor:
    """[9 * channels, filters], rows by row, column and channel -> torch's [filters, channels, 3, 3]."""
    return weight.reshape(3, 3, -1, weight.shape[-1]).permute(3, 2, 0, 1)


def by_torch(settings: ConvNetSettings, theta: Parameters, x: Tensor) -> Tensor:
    """The transductive network written with torch's own layers, channels first."""
    stride = 2 if settings.halving == "strides" else 1
    for block in range(settings.blocks):
        scale, shift = theta[f"norm{block}.scale"], theta[f"norm{block}.shift"]
        x = F.conv2d(x, native(theta[f"conv{block}.weight"]), stride=stride, padding=1)
        x = F.batch_norm(x, None, None, scale, shift, training=True).relu()
        x = x if stride == 2 else F.max_pool2d(x, 2)
    x = x.permute(0, 2, 3, 1).flatten(1)
    if settings.extra:
        x = F.linear(x, theta["extra.weight"].T, theta["extra.bias"]).relu()
    return F.linear(x, theta["classifier.weight"].T, theta["classifier.bias"])


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 7), (5, 8), (1, 2)])
def test_patch_product_is_a_convolution(height: int, width: int) -> None:
    """A matrix product over 3x3 patches is the zero-padded, strided convolution, for even and odd sizes."""
    x, weight = pictures(2, 3, height, width), pictures(27, 4, seed=2)
    product = _patches(x.permute(0, 2, 3, 1)) @ weight
    expected = F.conv2d(x, native(weight), stride=2, padding=1)
    torch.testing.assert_close(product.permute(0, 3, 1, 2), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 5), (2, 3)])
def test_pooling_is_max_pool(height: int, width: int) -> None:
    """2x2 max-pool, which drops an odd last row or column."""
    x = pictures(2, 3, height, width)
    pooled = _max_pool(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert torch.equal(pooled, F.max_pool2d(x, 2))


def test_batch_norm_on_batch_statistics() -> None:
    """By the batch's own mean and (biased) variance per channel, then scale and shift.

    A network of one block that hands its pixels through: each filter takes the middle of one channel,
    every second pixel; a shift of 20 keeps ReLU out; the classifier is the identity.
    """
    middle = torch.zeros(3, 3, 3, 3)
    middle[1, 1] = torch.eye(3)
    scale, shift = torch.tensor([1.0, 2.0, -3.0]), torch.tensor([20.0, 21.0, 22.0])
    theta = {
        "conv0.weight": middle.reshape(27, 3),
        "norm0.scale": scale,
        "norm0.shift": shift,
        "classifier.weight": torch.eye(12),
        "classifier.bias": torch.zeros(12),
    }
    x = pictures(5, 3, 4, 4) * 3 + 7
    found = build(convnet_settings(blocks=1, filters=3), (3, 4, 4), 12)(theta, x)
    expected = F.batch_norm(x[..., ::2, ::2], None, None, scale, shift, training=True)
    torch.testing.assert_close(found, expected.permute(0, 2, 3, 1).flatten(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("extra", [0, 6])
@pytest.mark.parametrize("halving", ["strides", "pooling"])
@pytest.mark.parametrize("size", [8, 13])
def test_network_equals_torchs_layers(size: int, halving: str, extra: int) -> None:
    """Convolution, batch norm with scale and shift, ReLU, halving, extra layer and classifier in order."""
    settings = convnet_settings(halving=halving, extra=extra)
    network = build(settings, (2, size, size), 4)
    theta = network.initial(generator(1, "theta"))
    # Away from 1 and 0, so that a forgotten scale or shift shows.
    theta = {name: value + 0.3 * pictures(*value.shape, seed=4) for name, value in theta.items()}
    x = pictures(6, 2, size, size)
    found = network(theta, x)
    assert found.shape == (6, 4)
    torch.testing.assert_close(found, by_torch(settings, theta, x), rtol=1e-4, atol=1e-4)


def test_mlp_equals_torchs_layers() -> None:
    """Layers with ReLU between them and none after the last; pictures are flattened."""
    network = build(MlpSettings("mlp", (5, 4)), (1, 2, 3), 2)
    theta = network.initial(generator(1, "theta"))
    theta = {name: value + 0.3 for name, value in theta.items()}
    x = hidden = pictures(7, 1, 2, 3).flatten(1)
    for layer in range(3):
        hidden = F.linear(hidden, theta[f"linear{layer}.weight"].T, theta[f"linear{layer}.bias"])
        hidden = hidden.relu() if layer < 2 else hidden
    torch.testing.assert_close(network(theta, x.reshape(7, 1, 2, 3)), hidden)
    assert float(hidden.min()) < 0, "the output is not cut at zero"


def policy(**changes: Any) -> Network:
    settings = {"hidden": (5, 4), "std": 0.5, "least_std": 0.1} | changes
    return build(PolicySettings("policy", **settings), (3,), 2)


def test_policy_is_a_network_for_the_mean_and_a_deviation_for_every_action() -> None:
    """Means of torch's own layers, and log standard deviations that are the same everywhere.

    For observations in any arrangement: [tasks, trajectories, observations] or one after another.
    """
    network = policy()
    theta = network.initial(generator(1, "theta"))
    theta = {name: value + 0.3 for name, value in theta.items()}
    seen = hidden = pictures(7, 4, 3)
    for layer in range(3):
        hidden = F.linear(hidden, theta[f"linear{layer}.weight"].T, theta[f"linear{layer}.bias"])
        hidden = hidden.relu() if layer < 2 else hidden
    found = network(theta, seen)
    torch.testing.assert_close(found[..., :2], hidden)
    assert torch.equal(found[..., 2:], theta["log_std"].expand(7, 4, 2))
    torch.testing.assert_close(network(theta, seen.flatten(0, 1)), found.flatten(0, 1))
    torch.testing.assert_close(network(theta, seen[0, 0].unsqueeze(0)), found[0, :1])


def test_policy_starts_at_its_deviation_and_never_falls_below_the_least() -> None:
    """0.5 at first; a log standard deviation of -9 counts as that of 0.1, and the other action's stays."""
    network, seen = policy(), pictures(4, 3)
    theta = network.initial(generator(1, "theta"))
    assert network(theta, seen)[:, 2:].exp().flatten().tolist() == pytest.approx([0.5] * 8)
    theta["log_std"] = torch.tensor([-9.0, 0.0])
    assert network(theta, seen)[0, 2:].exp().tolist() == pytest.approx([0.1, 1.0])


def test_policys_first_means_are_small() -> None:
    """It goes nowhere in particular: over 50 starts, a tenth of what noise of deviation 1 does."""
    network, seen = policy(hidden=(100, 100)), 0.5 * pictures(20, 3)
    means = [network(network.initial(generator(seed, "theta")), seen)[:, :2] for seed in range(50)]
    assert float(torch.cat(means).std()) < 0.2


@pytest.mark.parametrize("change", [{"hidden": (5, 0)}, {"std": 0.0}, {"least_std": -1.0}])
def test_impossible_policies_are_refused(change: dict[str, Any]) -> None:
    """The line names the key."""
    with pytest.raises(ValueError, match=next(iter(change))):
        policy(**change)


def test_policy_has_the_papers_size() -> None:
    """2-100-100-2 and two deviations: 10,604 parameters."""
    settings = PolicySettings("policy", (100, 100), 1.0, 1e-6)
    theta = build(settings, (2,), 2).initial(generator(1, "theta"))
    assert sum(value.numel() for value in theta.values()) == 10_604


def query_outputs(normalisation: str) -> tuple[Tensor, Tensor]:
    """Outputs for one query picture, in the company of dark and of bright ones."""
    network = build(convnet_settings(normalisation=normalisation), (1, 8, 8), 3)
    theta = network.initial(generator(1, "theta"))
    support, query = pictures(6, 1, 8, 8), pictures(1, 1, 8, 8, seed=2)
    company = [pictures(4, 1, 8, 8, seed=3) + brightness for brightness in (-5, 5)]
    context = network.context(theta, support)
    one, other = (network(theta, torch.cat([query, others]), context)[0] for others in company)
    return one, other


def test_support_statistics_judge_every_query_alone() -> None:
    """Inductive: a prediction does not depend on the other query pictures,"""
    one, other = query_outputs("inductive")
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_transductive_queries_lend_each_other_their_statistics() -> None:
    """Transductive: it does, and so the option says something."""
    one, other = query_outputs("transductive")
    assert float((one - other).abs().max()) > 0.05


def test_support_statistics_are_those_of_the_support_set() -> None:
    """Inductive: the support pictures as queries get the outputs that they adapted with."""
    network = build(convnet_settings(normalisation="inductive"), (1, 8, 8), 3)
    theta = network.initial(generator(1, "theta"))
    support = pictures(6, 1, 8, 8)
    torch.testing.assert_close(
        network(theta, support, network.context(theta, support)),
        network(theta, support),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("halving", "filters", "size", "channels", "extra", "expected"),
    [
        # 9·64 + 128, three times 9·64·64 + 128, and 64·2·2 features to 5 classes.
        ("strides", 64, 28, 1, 0, 704 + 3 * 36_992 + 256 * 5 + 5),
        # Pooling leaves one pixel: 28, 14, 7, 3, 1.
        ("pooling", 64, 28, 1, 0, 704 + 3 * 36_992 + 64 * 5 + 5),
        ("strides", 64, 28, 1, 32, 704 + 3 * 36_992 + 256 * 32 + 32 + 32 * 5 + 5),
        # MiniImagenet: 84, 42, 21, 10, 5.
        ("pooling", 32, 84, 3, 0, 928 + 3 * 9_280 + 800 * 5 + 5),
    ],
)
def test_parameter_counts(
    halving: str, filters: int, size: int, channels: int, extra: int, expected: int
) -> None:
    """The four-block networks of section 5.2 have the sizes that follow from their description."""
    settings = convnet_settings(blocks=4, filters=filters, halving=halving, extra=extra)
    theta = build(settings, (channels, size, size), 5).initial(generator(1, "theta"))
    assert sum(value.numel() for value in theta.values()) == expected


def test_sine_network_has_the_papers_size() -> None:
    """1-40-40-1: 1,761 parameters."""
    theta = build(MlpSettings("mlp", (40, 40)), (1,), 1).initial(generator(1, "theta"))
    assert sum(value.numel() for value in theta.values()) == 1761


@pytest.mark.parametrize("halving", ["strides", "pooling"])
@pytest.mark.parametrize("normalisation", ["transductive", "inductive", "joint"])
def test_meta_gradient_of_blank_pictures_is_finite(halving: str, normalisation: str) -> None:
    """A channel without variance, as blank pictures give, breaks no derivative, first or second."""
    network = convnet_settings(halving=halving, normalisation=normalisation)
    learner = build_learner(Problem("classification", (1, 8, 8), 2), network, learner_settings())
    blank, labels = torch.zeros(2, 2, 1, 8, 8), torch.tensor([[0, 1], [0, 1]])
    gradients, loss = meta_gradient(learner)(start(learner), Batch(blank, labels, blank, labels))
    assert loss.isfinite()
    assert all(value.isfinite().all() for part in gradients for value in part.values())
