"""What the tests of every learner ask of its meta-gradient and its training."""

from collections.abc import Iterable

import pytest
import torch

from metasgd.configuration import TrainingSettings
from metasgd.learner import Learner, Meta
from metasgd.meta_gradient import compilable, meta_gradient
from metasgd.tasks import Batch, TaskDistribution
from metasgd.training import meta_train
from tests.metasgd.small import same, start


def compiled_agrees(learner: Learner, batch: Batch, atol: float) -> None:
    """The compiled meta-gradient is the eager one to rounding."""
    meta = start(learner)
    expected, loss = meta_gradient(learner)(meta, batch)
    torch.compiler.reset()
    compiled = torch.compile(compilable(learner), fullgraph=True, dynamic=False)
    with torch.no_grad():
        found, found_loss = compiled(meta, batch)
    torch.testing.assert_close(found_loss, loss)
    for name, value in expected.theta.items():
        torch.testing.assert_close(found.theta[name], value, rtol=1e-4, atol=atol)


def slopes_agree(
    learner: Learner, meta: Meta, batch: Batch, names: Iterable[str], size: float, rel: float, atol: float
) -> None:
    """The meta-gradient by the first entry of these parameters is what the loss changes by. All in float64.

    size: of the change.
    """
    gradient = meta_gradient(learner)
    found = gradient(meta, batch)[0].theta
    for name in names:
        position, losses = (0,) * meta.theta[name].ndim, []
        for change in (size, -size):
            moved = meta.theta[name].clone()
            moved[position] += change
            losses.append(float(gradient(meta._replace(theta={**meta.theta, name: moved}), batch)[1]))
        slope = (losses[0] - losses[1]) / (2 * size)
        assert float(found[name][position]) == pytest.approx(slope, rel=rel, abs=atol)


def learns_and_repeats(
    learner: Learner, tasks: TaskDistribution, settings: TrainingSettings, few: int
) -> None:
    """Losses fall along the curve, by its first and last few points; a second training has the same bits."""
    outcome, again = (meta_train(learner, tasks, lambda meta: 0.0, settings, seed=1) for _ in range(2))
    losses = [point.values["train_loss"] for point in outcome.curve]
    assert sum(losses[-few:]) < sum(losses[:few])
    assert same(outcome.meta, again.meta)
