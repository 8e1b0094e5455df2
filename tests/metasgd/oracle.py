"""The meta-gradient by plain autograd, which every other way has to equal."""

import pytest
import torch

from metasgd.adaptation import SteppingLearner
from metasgd.engine import has_compiler
from metasgd.learner import Learner, Meta, Problem
from metasgd.learners import build_learner
from metasgd.seeds import generator
from metasgd.tasks import Batch, Examples
from tests.metasgd.small import convnet_settings, learner_settings

needs_compiler = pytest.mark.skipif(
    not has_compiler(), reason="torch.compile needs a C++ compiler and Python's headers"
)
HALVINGS = pytest.mark.parametrize("halving", ["strides", "pooling"])


def pictures_learner(halving: str, blocks: int = 2) -> tuple[Learner, Batch]:
    """Two classes of small pictures, and three tasks of them."""
    problem = Problem("classification", (1, 6, 6), 2)
    network = convnet_settings(blocks=blocks, halving=halving, normalisation="inductive")
    learner = build_learner(problem, network, learner_settings(start=(0.4, 0.4)))
    noise = generator(3, "pictures")
    labels = torch.arange(2).repeat_interleave(2).expand(3, -1)
    pictures = [torch.rand((3, 4, 1, 6, 6), generator=noise, dtype=torch.float64) for _ in range(2)]
    return learner, Batch(pictures[0], labels, pictures[1], labels)


def by_autograd(learner: SteppingLearner, meta: Meta, batch: Batch, create_graph: bool) -> Meta:
    """The meta-gradient by a plain loop over tasks, with torch.autograd."""
    leaves = Meta(*({k: v.clone().requires_grad_() for k, v in part.items()} for part in meta))
    losses = []
    for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
        theta, alpha = SteppingLearner.spread(learner, leaves)  # nothing of it as a constant
        for _ in range(learner.settings.steps):
            loss = learner.support_loss(theta, Examples(support_x, support_y))
            gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=create_graph)
            rates = [alpha.get("all", alpha.get(name)) for name in theta]
            theta = {
                name: value - rate * gradient
                for (name, value), rate, gradient in zip(theta.items(), rates, gradients, strict=True)
                if rate is not None
            }
        outputs = learner.predict(learner.adapted(theta, Examples(support_x, support_y)), query_x)
        losses.append(learner.objective.loss(outputs, query_y))
    torch.stack(losses).mean().backward()
    return Meta(*({k: v.grad for k, v in part.items() if v.grad is not None} for part in leaves))


def close(one: Meta, other: Meta, tolerance: float) -> None:
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(dict(mine), dict(theirs), rtol=tolerance, atol=tolerance)
