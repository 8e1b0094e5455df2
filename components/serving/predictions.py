"""A model's answers to a user's task, as tables. Nothing is read or written here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from components.serving.points import columns
from metasgd.errors import InputError
from metasgd.rollouts import Tasks, Trajectories
from metasgd.serving import AdaptedTask, ServedModel
from metasgd.tasks import Examples

if TYPE_CHECKING:
    from components.serving.class_folders import Classes, Picture  # with torchvision, which curves do without

SURE = 2 / 3  # below it, the class is less than twice as probable as all others together


def adapt_to_classes(served: ServedModel, classes: "Classes") -> AdaptedTask:
    """Adapt to pictures whose classes are numbered in this order.

    Raises InputError for more classes than the model can take.
    """
    x = torch.stack([picture.x for pictures in classes.values() for picture in pictures])
    sizes = torch.tensor([len(pictures) for pictures in classes.values()])
    return served.adapt(Examples(x, torch.arange(len(sizes)).repeat_interleave(sizes)))


def class_predictions(
    task: AdaptedTask, classes: Sequence[str], queries: "Sequence[Picture]"
) -> pd.DataFrame:
    """A row per query: file, class, probability (of that class), and "p(<class>)" of every class in order.

    Raises InputError where adaptation diverged.
    """
    probabilities = task.probabilities(torch.stack([query.x for query in queries]))
    _require_finite(probabilities)
    best = probabilities.argmax(dim=-1)
    return pd.DataFrame(
        {
            "file": [query.name for query in queries],
            "class": [classes[number] for number in best.tolist()],
            "probability": probabilities.amax(dim=-1).numpy(),
            **{f"p({name})": probabilities[:, number].numpy() for number, name in enumerate(classes)},
        }
    )


def point_predictions(served: ServedModel, support: Examples, x: Tensor) -> pd.DataFrame:
    """A row per query: x, and the outputs there before and after adaptation; several are numbered from 0.

    support: x [support, *input_shape] and y [support, outputs]. x: [query, *input_shape].
    Raises InputError where adaptation diverged.
    """
    before, after = served.adapt(support, steps=0).predict(x), served.adapt(support).predict(x)
    _require_finite(before, after)
    parts = {"x": x.flatten(1), "before": before, "after": after}
    return pd.DataFrame(
        {
            name: part[:, number].numpy()
            for kind, part in parts.items()
            for number, name in enumerate(columns(kind, part.shape[1]))
        }
    )


def goal_returns(tasks: Tasks, stages: Sequence[Trajectories]) -> pd.DataFrame:
    """A row per trajectory: goal (from 1), goal_x, goal_y, stage, trajectory (from 1), return (undiscounted).

    tasks: "goal" [goals, 2]. stages: trajectories [goals, trajectories, time, ...] at every stage.
    Raises InputError where adaptation diverged.
    """
    returns = torch.stack([stage.returns() for stage in stages], dim=1)
    _require_finite(returns)
    goals, _, trajectories = returns.shape
    names = stage_names(len(stages) - 1)
    index = pd.MultiIndex.from_product(
        [range(1, goals + 1), names, range(1, trajectories + 1)], names=["goal", "stage", "trajectory"]
    )
    table = pd.DataFrame({"return": returns.flatten().numpy()}, index=index).reset_index()
    place = tasks["goal"].numpy()[table["goal"].to_numpy() - 1]
    table.insert(1, "goal_x", place[:, 0])
    table.insert(2, "goal_y", place[:, 1])
    return table


def stage_names(steps: int) -> list[str]:
    """Before adaptation, and after each inner step."""
    if steps == 1:
        return ["before", "after"]
    return ["before", *(f"after {step} step{'s' * (step > 1)}" for step in range(1, steps + 1))]


def is_sure(probability: float | np.floating) -> bool:
    return bool(probability >= SURE)


def _require_finite(*outputs: Tensor) -> None:
    if not all(output.isfinite().all() for output in outputs):
        raise InputError("adaptation diverged: predictions are not finite; expected examples more like those "
                         "that the model was trained on")  # fmt: skip
