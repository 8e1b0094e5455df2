"""Goals for a policy: trajectories towards them, before and after it adapts on trajectories of its own."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from components.artifacts.trajectories import stack_stages
from components.kinds.control import ControlTasks
from components.plots.planes import Journeys, journeys, number
from components.plots.style import save
from components.plots.trajectories import trajectories_figure
from components.serving.driving import Driven, drive_to_goals
from components.serving.listing import print_line, print_rows
from components.serving.models import OpenModel
from components.serving.output_folder import FIGURE, TABLE, write_output
from components.serving.predictions import goal_returns, stage_names
from metasgd.configuration import NavigationSettings
from metasgd.errors import InputError
from metasgd.policy_adaptation import Plan

FARTHEST = 100.0  # coordinate of a goal
MOST_GOALS = 100
DRAWN = 6  # goals in the figure
SIZES = {1: (5.4, 3.6), 2: (5.4, 3.7), 3: (6.8, 3.0)}  # goals -> width and height in inches


def answer_goals(
    model: OpenModel, goals: Sequence[tuple[float, float]], seed: int | None, output: Path
) -> None:
    """Write returns as a table and trajectories as a figure. Raises InputError.

    goals: without any, the seed draws one. seed: of the noise and the starts, too.
    """
    _require_goals(model, goals, seed)
    driven = drive(model, goals or [None], seed or 0)
    table = goal_returns(driven.tasks, driven.stages)
    tensors = stack_stages(driven.stages, driven.tasks, DRAWN)

    def write(folder: Path) -> None:
        table.to_csv(folder / TABLE, index=False)
        steps = model.served.learner.settings.test_steps
        save(goals_figure(journeys(model.algorithm, tensors, steps)), folder / FIGURE)

    places = {f"{name}s": place.tolist() for name, place in driven.tasks.items()}
    write_output(output, model, {**places, "noise": seed or 0}, write)
    stages = stage_names(len(driven.stages) - 1)
    header = [f"mean return {stage}" for stage in stages]
    print_rows(["goal", *header], _means(table, stages), header)
    print_line(f"{len(table)} returns in {output / TABLE}, and trajectories in {output / FIGURE}")


def drive(model: OpenModel, goals: Sequence[tuple[float, float] | None], seed: int) -> Driven:
    """With as many trajectories as test tasks have, to adapt on and to score. Raises InputError."""
    tasks, learner = model.tasks, model.served.learner.served
    if not isinstance(tasks, ControlTasks) or not isinstance(tasks.distribution, NavigationSettings):
        raise InputError(f"MODEL {model.name}: its tasks have no Gymnasium environment; expected navigation")
    plan = Plan(tasks.reported_shots, tasks.stored.test_queries, learner.settings.test_steps)
    return drive_to_goals(learner, model.served.meta, tasks.distribution, plan, goals, seed)


def goals_figure(driven: Journeys) -> Figure:
    """Trajectories before and after adaptation; with few goals, wide enough for the legend."""
    figure = trajectories_figure([driven])
    if size := SIZES.get(len(driven.goals)):
        figure.set_size_inches(size)
    return figure


def _require_goals(model: OpenModel, goals: Sequence[tuple[float, float]], seed: int | None) -> None:
    if not goals and seed is None:
        raise InputError(
            f"MODEL {model.name} is a policy; expected --goal X Y, or --seed N that draws a goal"
        )
    if seed is not None and seed < 0:
        raise InputError(f"--seed is {seed}; expected 0 or more")
    if len(goals) > MOST_GOALS:
        raise InputError(f"--goal is given {len(goals)} times; expected {MOST_GOALS} at most")
    for x, y in goals:
        if not math.hypot(x, y) <= FARTHEST:  # neither is NaN
            raise InputError(f"--goal is {x:g} {y:g}; expected a point within {FARTHEST:g} of the origin")


def _means(table: pd.DataFrame, stages: Sequence[str]) -> list[list[str]]:
    """A row per goal: where it is, and the mean return at every stage."""
    means = table.groupby(["goal", "goal_x", "goal_y", "stage"])["return"].mean().unstack("stage")
    return [
        [f"({number(x)}, {number(y)})", *map(number, row)]
        for (_, x, y), row in zip(means.index, means[list(stages)].to_numpy(), strict=True)
    ]
