"""The classifier's last layer where the number of classes changes: copies of a shared row, or fewer rows.

A shared head has one row, "classifier.weight" [features, 1] and "classifier.bias" [1]. At the start of a task
every class gets a copy of it, of theta's as of alpha's; what the inner step makes of the copies differs.
"""

from collections.abc import Iterable

import torch

from metasgd.trees import Parameters

HEAD = ("classifier.weight", "classifier.bias")


def layer(name: str) -> str:
    """ "conv0" of "conv0.weight"."""
    return name.partition(".")[0]


def in_head(name: str, names: Iterable[str]) -> bool:
    """Whether a parameter is one of the network's last layer. names: of all its parameters, in its order."""
    return layer(name) == layer([other for other in names if other.endswith(".weight")][-1])


def spread(parameters: Parameters, ways: int) -> Parameters:
    """A copy of the shared row for each class."""
    return {
        name: value.expand(*value.shape[:-1], ways).clone() if name in HEAD else value
        for name, value in parameters.items()
    }


def gather(derivatives: Parameters) -> Parameters:
    """The adjoint of `spread`: derivatives by the copies to one by the shared row."""
    return {
        name: value.sum(-1, keepdim=True) if name in HEAD else value for name, value in derivatives.items()
    }


def detached(parameters: Parameters) -> Parameters:
    """The head as a constant."""
    return {name: value.detach() if name in HEAD else value for name, value in parameters.items()}


def zeroed(derivatives: Parameters) -> Parameters:
    """The adjoint of `detached`."""
    return {name: torch.zeros_like(value) if name in HEAD else value for name, value in derivatives.items()}


def first_rows(parameters: Parameters, ways: int) -> Parameters:
    """The rows of the first classes, of a head that has one per class."""
    return {name: value[..., :ways] if name in HEAD else value for name, value in parameters.items()}
