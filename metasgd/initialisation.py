"""Random starts of layers."""

import math

import torch
from torch import Tensor


def he_normal(inputs: int, outputs: int, generator: torch.Generator, gain: float = 2.0) -> Tensor:
    """He initialisation: variance gain / inputs. [inputs, outputs], so that a layer is x @ w."""
    deviation = math.sqrt(gain / inputs)
    return torch.randn((inputs, outputs), generator=generator) * deviation
