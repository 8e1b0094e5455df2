"""A classifier whose classes share a row: copied at the start of a task, free in number, blind to order."""

from dataclasses import replace

import pytest
import torch
from torch.func import grad

from metasgd.convnet import ConvNet
from metasgd.errors import InputError
from metasgd.heads import gather, spread
from metasgd.learner import Learner, Problem
from metasgd.learners import build_learner
from metasgd.meta_gradient import adjoint, meta_gradient
from metasgd.seeds import generator
from metasgd.serving import ServedModel
from metasgd.tasks import Batch, Examples
from tests.metasgd.oracle import by_autograd, close
from tests.metasgd.small import as_double, convnet_settings, learner_settings, start


def learner(head: str = "shared", normalisation: str = "inductive", **changes: object) -> Learner:
    network = convnet_settings(head=head, normalisation=normalisation)
    settings = learner_settings(start=(0.4, 0.4), **changes)
    return build_learner(Problem("classification", (1, 6, 6), 3), network, settings)


def tasks(ways: int = 3, count: int = 2, dtype: torch.dtype = torch.float64) -> Batch:
    noise = generator(3, "pictures")
    labels = torch.arange(ways).repeat_interleave(2).expand(count, -1)
    support, query = (torch.rand((count, 2 * ways, 1, 6, 6), generator=noise, dtype=dtype) for _ in range(2))
    return Batch(support, labels, query, labels)


def test_gather_is_the_adjoint_of_spread() -> None:
    """<spread(a), b> = <a, gather(b)>, and other layers stay as they are."""
    noise = generator(1, "numbers")
    shared = {"classifier.weight": torch.randn((4, 1), generator=noise), "conv0.weight": torch.ones(2)}
    copies = spread(shared, ways=3)
    assert copies["classifier.weight"].shape == (4, 3)
    assert copies["conv0.weight"] is shared["conv0.weight"]
    other = torch.randn((4, 3), generator=noise)
    left = (copies["classifier.weight"] * other).sum()
    right = (shared["classifier.weight"] * gather({"classifier.weight": other})["classifier.weight"]).sum()
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("way", [meta_gradient, adjoint])
@pytest.mark.parametrize("alpha", ["per-parameter", "scalar", "fixed"])
@pytest.mark.parametrize("steps", [1, 2])
def test_meta_gradients_of_a_shared_head(way, alpha: str, steps: int) -> None:  # type: ignore[no-untyped-def]
    """Both ways equal a loop over tasks with torch.autograd, for the row that is shared, too."""
    mine = learner(alpha=alpha, steps=steps)
    meta, batch = as_double(start(mine)), tasks()
    assert meta.theta["classifier.weight"].shape[-1] == 1
    found, _ = way(mine)(meta, batch)
    expected = by_autograd(mine, meta, batch, create_graph=True)
    close(found, expected, 1e-9)


@pytest.mark.parametrize("normalisation", ["transductive", "inductive", "joint"])
def test_the_first_step_leaves_nothing_out(normalisation: str) -> None:
    """The layers before a shared head have no gradient there; in the second step they have."""
    mine, batch = learner(normalisation=normalisation), tasks()
    support = Examples(batch.support_x[0], batch.support_y[0])
    steps = mine.inner_steps(as_double(start(mine)), support, 2)
    thetas = [mine.spread(as_double(start(mine))).theta, *(theta for _, theta in steps)]
    gradients = [grad(mine.support_loss)(theta, support)["conv0.weight"] for theta in thetas[:2]]
    assert gradients[0].abs().max() < 1e-15
    assert gradients[1].abs().max() > 1e-6


@pytest.mark.parametrize("way", [meta_gradient, adjoint])
def test_a_row_that_decides_nothing_stays(way) -> None:  # type: ignore[no-untyped-def]
    """After one step, the shared row adds the same to every logit: its gradient is zero, not rounding."""
    meta = start(learner())
    found, _ = way(learner())(meta, tasks(dtype=torch.float32))
    assert not found.theta["classifier.weight"].any()
    assert found.alpha["classifier.weight"].any()


def test_one_step_compares_with_class_means() -> None:
    """logit_c = f(x) . (alpha * (mean_c - mean)) / N, but for what all classes share: docs/learners.md."""
    mine, batch = learner(), tasks()
    meta = as_double(start(mine))
    network, support = mine.network, Examples(batch.support_x[0], batch.support_y[0])
    assert isinstance(network, ConvNet)
    rates = torch.linspace(-1, 1, network.body.features, dtype=torch.float64)
    meta.alpha["classifier.weight"] = rates[:, None]
    adapted = mine.adapt(meta, support)
    means = network.body(meta.theta, support.x).view(3, 2, -1).mean(1)
    query = network.body(meta.theta, batch.query_x[0], adapted.context)
    expected = query @ (rates * (means - means.mean(0))).T / 3
    found = mine.predict(adapted, batch.query_x[0])
    torch.testing.assert_close(found - found.mean(1, keepdim=True), expected, rtol=1e-9, atol=1e-12)


def test_the_order_of_classes_means_nothing() -> None:
    """Classes named otherwise get their logits in the other order; with a row per class they change."""
    batch = tasks(count=1, dtype=torch.float32)
    x, y, query = batch.support_x[0], batch.support_y[0], batch.query_x[0]
    order = torch.tensor([2, 0, 1])

    def logits(head: str) -> tuple[torch.Tensor, torch.Tensor]:
        model = ServedModel(learner(head), start(learner(head)))
        one, other = (model.adapt(Examples(x, labels)).predict(query) for labels in (y, order[y]))
        return one, other[:, order]

    torch.testing.assert_close(*logits("shared"), rtol=1e-4, atol=1e-5)
    one, other = logits("per-class")
    assert float((one - other).abs().max()) > 1e-2


@pytest.mark.parametrize("normalisation", ["transductive", "inductive", "joint"])
def test_served_predictions_are_inductive(normalisation: str) -> None:
    """Whatever normalised queries in training, a served query is normalised by the support pictures."""
    mine = learner(normalisation=normalisation)
    batch, meta = tasks(count=1, dtype=torch.float32), start(learner())
    support, query = Examples(batch.support_x[0], batch.support_y[0]), batch.query_x[0]
    inductive = learner(normalisation="inductive")
    expected = inductive.predict(inductive.adapt(meta, support), query)
    torch.testing.assert_close(ServedModel(mine, meta).adapt(support).predict(query), expected)
    assert (mine.served == mine) == (normalisation == "inductive")


def test_joint_normalisation_is_that_of_support_and_queries_together() -> None:
    """Each picture's outputs are those of one batch that holds both."""
    network = learner(normalisation="joint").network
    theta = network.initial(generator(1, "theta"))
    support, query = (torch.rand((4, 1, 6, 6), generator=generator(seed, "x")) for seed in (1, 2))
    found = network(theta, query, network.context(theta, support))
    torch.testing.assert_close(found, network(theta, torch.cat([support, query]))[4:])


def test_other_numbers_of_classes() -> None:
    """A row per class: the first rows for fewer classes, one line for more. One class is no choice."""
    mine = learner("per-class")
    meta = start(mine)
    fewer, taken = mine.for_ways(meta, 2)
    assert fewer.problem == replace(mine.problem, outputs=2)
    torch.testing.assert_close(taken.theta["classifier.weight"], meta.theta["classifier.weight"][:, :2])
    torch.testing.assert_close(taken.alpha["classifier.bias"], meta.alpha["classifier.bias"][:2])
    with pytest.raises(InputError, match=r"4 classes; expected 2 to 3 \(network.head: per-class\)"):
        mine.for_ways(meta, 4)
    with pytest.raises(InputError, match="1 classes; expected 2 or more"):
        learner().for_ways(meta, 1)
