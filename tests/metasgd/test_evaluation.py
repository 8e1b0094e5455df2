"""Scores of many tasks are those of each alone."""

import torch

from metasgd.evaluation import predictions, score
from metasgd.tasks import Examples
from tests.metasgd.small import curves, sine_learner, start


def test_scores_are_those_of_each_task_alone() -> None:
    """score() [tasks, steps + 1] is the mean squared error of every stage, whatever shares its chunk."""
    learner = sine_learner()
    meta, batch = start(learner), curves(23)
    table = score(learner, meta, batch, 2)
    assert table.shape == (23, 3)
    outputs = predictions(learner, meta, batch, 2)
    assert outputs.shape == (23, 3, 10, 1)
    expected = (outputs - batch.query_y.unsqueeze(1)).square().mean(dim=(2, 3))
    torch.testing.assert_close(table, expected)
    alone = learner.adapt(meta, Examples(batch.support_x[22], batch.support_y[22]), 2)
    last = learner.predict(alone, batch.query_x[22])
    torch.testing.assert_close(outputs[22, 2], last, rtol=1e-5, atol=1e-6)
