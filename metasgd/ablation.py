"""What alpha is worth: the same theta, with less of what meta-training made of alpha."""

from collections.abc import Callable, Mapping
from itertools import groupby

import torch
from torch import Tensor

from metasgd.heads import in_head, layer
from metasgd.learner import Learner, Meta
from metasgd.learner_settings import GradientSettings
from metasgd.seeds import generator
from metasgd.trees import Parameters, flatten, unflatten


def ablations(learner: Learner, meta: Meta, seed: int) -> dict[str, Meta]:
    """By what is taken away; nothing for a learner without an alpha per parameter.

    start: all of it: alpha as it was before training, by the training's seed
    mean: one value for all parameters
    layer-means: one value for each layer
    shuffled: which parameter of a layer has which value
    unsigned: the directions; the step goes down the gradient everywhere
    head-only, body-only: the step of all other layers, or of the last one
    """
    alpha = meta.alpha
    settings = learner.settings
    if not isinstance(settings, GradientSettings) or settings.alpha != "per-parameter":
        return {}
    draw = generator(seed, "shuffled alpha")
    ablated = {
        "start": learner.initial(generator(seed, "theta")).alpha,
        "mean": _filled(alpha),
        "layer-means": _by_layer(alpha, _filled),
        "shuffled": _by_layer(alpha, lambda layer: _shuffled(layer, draw)),
        "unsigned": {name: value.abs() for name, value in alpha.items()},
        "head-only": _kept(alpha, lambda name: in_head(name, meta.theta)),
        "body-only": _kept(alpha, lambda name: not in_head(name, meta.theta)),
    }
    return {name: Meta(meta.theta, without) for name, without in ablated.items()}


def _by_layer(alpha: Parameters, change: Callable[[Parameters], Parameters]) -> Parameters:
    layers = [dict(items) for _, items in groupby(alpha.items(), lambda item: layer(item[0]))]
    return {name: value for layer in layers for name, value in change(layer).items()}


def _filled(alpha: Mapping[str, Tensor]) -> Parameters:
    """With the mean of all entries."""
    mean = flatten(alpha.values()).mean()
    return {name: torch.full_like(value, float(mean)) for name, value in alpha.items()}


def _shuffled(alpha: Mapping[str, Tensor], draw: torch.Generator) -> Parameters:
    entries = flatten(alpha.values())
    mixed = entries[torch.randperm(len(entries), generator=draw)]
    parts = unflatten(mixed, [value.shape for value in alpha.values()])
    return dict(zip(alpha, parts, strict=True))


def _kept(alpha: Parameters, keeps: Callable[[str], bool]) -> Parameters:
    """Zero in the other layers."""
    return {name: value if keeps(name) else torch.zeros_like(value) for name, value in alpha.items()}
