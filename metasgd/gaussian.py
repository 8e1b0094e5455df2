"""Diagonal Gaussians over actions, as parameters [..., 2 * actions]: means, then log standard deviations."""

import math

import torch
from torch import Tensor


def sample(parameters: Tensor, noise: Tensor) -> Tensor:
    """mean + std * noise. noise: standard normal [..., actions]."""
    mean, log_std = parameters.chunk(2, dim=-1)
    return mean + log_std.exp() * noise


def log_density(parameters: Tensor, actions: Tensor) -> Tensor:
    """log p(actions), [...]."""
    mean, log_std = parameters.chunk(2, dim=-1)
    squares = ((actions - mean) * (-log_std).exp()).square()
    return -(0.5 * squares + log_std).sum(dim=-1) - 0.5 * math.log(2 * math.pi) * actions.shape[-1]


def kl_divergence(old: Tensor, new: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(old || new), [...]."""
    old_mean, old_log_std = old.chunk(2, dim=-1)
    mean, log_std = new.chunk(2, dim=-1)
    spread = (2 * (old_log_std - log_std)).exp() + ((old_mean - mean) * (-log_std).exp()).square()
    return (log_std - old_log_std + 0.5 * (spread - 1)).sum(dim=-1)


def fisher_product(parameters: Tensor, tangent: Tensor) -> Tensor:
    """The Fisher information at `parameters`, diagonal here, times a tangent of the same shape."""
    _, log_std = parameters.chunk(2, dim=-1)
    mean_tangent, log_std_tangent = tangent.chunk(2, dim=-1)
    # 1 / variance for a mean; 2 for a log standard deviation.
    return torch.cat([mean_tangent * (-2 * log_std).exp(), 2 * log_std_tangent], dim=-1)
