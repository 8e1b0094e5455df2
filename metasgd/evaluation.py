"""Scores of a meta-learned start on stored tasks, before adaptation and after each inner step."""

import torch
from torch import Tensor
from torch.func import vmap

from metasgd.learner import Learner, Meta
from metasgd.tasks import Batch

# Tasks that are adapted at once, where the network vectorises. It bounds memory; a fixed number, so
# that the same tasks give the same bits wherever they are scored.
CHUNK = 10


def score(learner: Learner, meta: Meta, batch: Batch, steps: int) -> Tensor:
    """Scores [tasks, steps + 1]: column s after s inner steps, on the query examples.

    batch may lie on another device than theta; the scores are on the CPU.
    """

    def task_scores(task: Batch) -> Tensor:
        outputs = _task_outputs(learner, meta, task, steps)
        return torch.stack([learner.objective.score(output, task.query_y) for output in outputs])

    device = next(iter(meta.theta.values())).device
    chunk = CHUNK if learner.vectorises else 1
    chunks = zip(*(torch.split(tensor, chunk) for tensor in batch), strict=True)
    with torch.no_grad():
        return torch.cat([vmap(task_scores)(Batch(*chunk).to(device)).cpu() for chunk in chunks])


def predictions(learner: Learner, meta: Meta, batch: Batch, steps: int) -> Tensor:
    """Outputs [tasks, steps + 1, query, outputs] on the query examples, before and after each step."""
    with torch.no_grad():
        result: Tensor = vmap(lambda task: torch.stack(_task_outputs(learner, meta, task, steps)))(batch)
    return result


def _task_outputs(learner: Learner, meta: Meta, task: Batch, steps: int) -> list[Tensor]:
    stages = learner.adaptations(meta, task.support, steps)
    return [learner.predict(adapted, task.query_x) for adapted in stages]
