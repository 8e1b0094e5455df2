"""Diagonal Gaussians against torch.distributions, and the Fisher information against a Hessian."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from metasgd import gaussian
from metasgd.seeds import generator


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "numbers"), dtype=torch.float64)


def by_torch(parameters: Tensor) -> Independent:
    mean, log_std = parameters.chunk(2, dim=-1)
    return Independent(Normal(mean, log_std.exp()), 1)


def test_log_density_by_hand() -> None:
    """Mean (1, 0), deviations (1, 2), action (3, 2): -(2 + 0) - (1/2 + log 2) - log(2 pi)."""
    parameters = torch.tensor([1.0, 0.0, 0.0, math.log(2)])
    found = float(gaussian.log_density(parameters, torch.tensor([3.0, 2.0])))
    assert found == pytest.approx(-2.5 - math.log(2) - math.log(2 * math.pi), abs=1e-6)


@pytest.mark.parametrize("actions", [1, 3])
def test_density_is_torchs(actions: int) -> None:
    """log p of every action in a batch, summed over the action's numbers alone."""
    parameters, taken = numbers(4, 5, 2 * actions), numbers(4, 5, actions, seed=2)
    found = gaussian.log_density(parameters, taken)
    assert found.shape == (4, 5)
    torch.testing.assert_close(found, by_torch(parameters).log_prob(taken))


def test_kl_divergence_is_torchs() -> None:
    """KL(old || new), and not the other way around; none of a Gaussian from itself."""
    old, new = numbers(4, 5, 4), numbers(4, 5, 4, seed=2)
    torch.testing.assert_close(gaussian.kl_divergence(old, new), kl_divergence(by_torch(old), by_torch(new)))
    torch.testing.assert_close(gaussian.kl_divergence(old, old), torch.zeros(4, 5, dtype=torch.float64))


def test_fisher_product_is_the_hessian_of_the_kl_divergence() -> None:
    """At the same parameters, for means and for log standard deviations."""
    parameters, tangent = numbers(6), numbers(6, seed=2)
    hessian = torch.autograd.functional.hessian(partial(gaussian.kl_divergence, parameters), parameters)
    torch.testing.assert_close(gaussian.fisher_product(parameters, tangent), hessian @ tangent)


def test_sample_is_the_mean_and_so_many_deviations() -> None:
    """mean + std * noise, number by number: 1 + 1 * 2, and 5 - 1 * 3."""
    parameters = torch.tensor([1.0, 5.0, 0.0, math.log(3)])
    found = gaussian.sample(parameters, torch.tensor([2.0, -1.0]))
    assert found.tolist() == pytest.approx([3.0, 2.0])
