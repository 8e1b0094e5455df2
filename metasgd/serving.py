"""A trained model in use: it adapts to a task once, and predicts each example for itself.

    task = ServedModel(learner, meta).adapt(Examples(x, y), steps=1)
    outputs = task.predict(queries)

A prediction does not depend on what else is asked: alone or among others, an example gets the same bits. So
query examples are normalised by the statistics of the support examples, and go through one at a time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from metasgd.errors import InputError
from metasgd.learner import Adapted, Learner, Meta
from metasgd.tasks import Examples


@dataclass(frozen=True)
class AdaptedTask:
    """What is left of a task after adaptation. ways: the number of its classes, or of outputs."""

    learner: Learner
    adapted: Adapted

    @property
    def ways(self) -> int:
        return self.learner.problem.outputs

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return sum(value.nbytes for part in self.adapted for value in part.values())

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Outputs [query, outputs]: of a classifier, logits. Raises InputError for what is no example."""
        x = checked_examples(self.learner, x, "query")
        return torch.cat([self.learner.predict(self.adapted, one) for one in torch.split(x, 1)])

    def probabilities(self, x: Tensor) -> Tensor:
        """Of each class, [query, ways]."""
        return self.predict(x).softmax(dim=-1)


@dataclass(frozen=True)
class ServedModel:
    """learner: as it was trained. meta: its (theta, alpha)."""

    learner: Learner
    meta: Meta

    @torch.no_grad()
    def adapt(self, support: Examples, steps: int | None = None) -> AdaptedTask:
        """Adapt to one task's support examples; by default with the learner's own number of test steps.

        support: x [support, *input_shape], of pictures from 0 to 1; y int64 [support] from 0 up to the number
            of classes, each with an example at least, or float32 [support, outputs].
        Raises InputError for what is no such task, or has more classes than the learner can take.
        """
        learner, meta = self.learner.served, self.meta
        x = checked_examples(learner, support.x, "support")
        if learner.problem.objective == "classification":
            y = checked_labels(support.y, len(x))
            learner, meta = learner.for_ways(meta, int(y.max()) + 1)
            learner = learner.served
        else:
            y = checked_targets(learner, support.y, len(x))
        adapted = learner.adapt(meta, Examples(x, y), learner.settings.test_steps if steps is None else steps)
        # Copies of their own: what is kept for later must not keep theta alive, or be changed with it.
        return AdaptedTask(learner, Adapted(*({k: v.clone() for k, v in part.items()} for part in adapted)))


def checked_examples(learner: Learner, x: Tensor, name: str) -> Tensor:
    """float32 [examples, *input_shape]. Raises InputError."""
    shape = learner.problem.input_shape
    if x.ndim != len(shape) + 1 or tuple(x.shape[1:]) != shape:
        raise InputError(f"{name} examples are {list(x.shape)}; expected [examples, {_listed(shape)}]")
    if not len(x):
        raise InputError(f"{name} holds no examples; expected 1 or more")
    x = x.to(torch.float32)
    if not x.isfinite().all():
        raise InputError(f"{name} examples hold values that are not finite; expected numbers")
    if learner.problem.objective == "classification" and not (x.min() >= 0 and x.max() <= 1):
        raise InputError(f"{name} pictures go from {x.min():g} to {x.max():g}; expected values from 0 to 1")
    return x


def checked_labels(y: Tensor, count: int) -> Tensor:
    """int64 [examples]. Raises InputError."""
    if tuple(y.shape) != (count,):
        raise InputError(f"support labels are {list(y.shape)}; expected [{count}], one for each example")
    whole = y.to(torch.float64)
    if not (whole.isfinite().all() and (whole == whole.round()).all() and (whole >= 0).all()):
        raise InputError("support labels are not all whole numbers from 0; expected class numbers")
    y = whole.to(torch.int64)
    if missing := sorted(set(range(min(int(y.max()) + 1, count + 1))) - set(y.tolist())):
        raise InputError(f"class {missing[0]} has no support example; expected one or more of each class")
    return y


def checked_targets(learner: Learner, y: Tensor, count: int) -> Tensor:
    """float32 [examples, outputs]. Raises InputError."""
    expected = (count, learner.problem.outputs)
    if tuple(y.shape) != expected:
        raise InputError(f"support labels are {list(y.shape)}; expected {list(expected)}")
    y = y.to(torch.float32)
    if not y.isfinite().all():
        raise InputError("support labels hold values that are not finite; expected numbers")
    return y


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(str(side) for side in shape)
