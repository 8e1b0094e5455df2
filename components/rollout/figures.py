"""The pictures of a control lane: returns over meta-training, alpha, and trajectories of all algorithms."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from components.navigation_pictures import adaptation_animation, trajectories_figure
from components.pictures import returns_curve, save
from components.rollout.travels import journeys
from components.scoring import Trained, draw_alpha
from components.train.step import CURVE


def draw_figures(trained: Trained, folder: Path) -> None:
    """Write the pictures of one checkpoint as SVG, and alpha's table as CSV."""
    curve = pd.read_csv(trained.checkpoint / CURVE)
    if len(curve):
        tasks = trained.training.train.meta_batch
        save(returns_curve(curve, tasks, trained.about["chosen_iteration"]), folder / "learning-curve.svg")
    draw_alpha(trained.meta, folder)


def draw_lane(
    lane: Sequence[Trained], travels: Mapping[str, Mapping[str, Tensor]], folder: Path
) -> list[Path]:
    """Figure 4: the first seed of every algorithm beside the others, as a picture and in motion.

    Only where tasks have a goal and a start in a plane; other dynamics get no such picture.
    """
    if any(not {"task/goal", "task/start"} <= tensors.keys() for tensors in travels.values()):
        return []
    first = {trained.training.algorithm: trained.name for trained in reversed(lane)}
    shown = [journeys(algorithm, travels[first[algorithm]]) for algorithm in reversed(first)]
    still, moving = folder / "trajectories.svg", folder / "adaptation.gif"
    save(trajectories_figure(shown), still)
    adaptation_animation(shown, moving)
    return [still, moving]
