"""Tasks in a plane, each with a start and a goal, and where policies went there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import Formatter
from torch import Tensor

from components.plots.style import INK, ORANGE
from components.plots.words import after_steps

REACH = 0.8  # half the width of a panel, at least; goals usually lie within 0.5
TRAJECTORIES = 8  # in a panel, at most
START: dict[str, Any] = {"marker": "o", "color": INK, "markersize": 5, "markeredgecolor": "white"}
GOAL: dict[str, Any] = {
    "marker": "*",
    "color": ORANGE,
    "markersize": 12,
    "markeredgecolor": "white",
    "markeredgewidth": 0.7,
}


@dataclass(frozen=True)
class Journeys:
    """Where one algorithm's policies went on some tasks, before adaptation and after each step.

    name: the algorithm's.
    paths: [stages, goals, trajectories, time, 2], positions before each action; stage 0 is before
        adaptation, stage s after s steps.
    alive: bool [stages, goals, trajectories, time]; False after a trajectory's end.
    goals, starts: [goals, 2].
    returns: [stages, goals], means over trajectories.
    steps: those after which a policy counts as adapted; later stages are not shown.
    """

    name: str
    paths: np.ndarray
    alive: np.ndarray
    goals: np.ndarray
    starts: np.ndarray
    returns: np.ndarray
    steps: int = 1

    @property
    def stages(self) -> tuple[int, int]:
        """Before adaptation, and after the steps that count."""
        return 0, min(self.steps, len(self.paths) - 1)

    def route(self, stage: int, goal: int, trajectory: int) -> np.ndarray:
        """Positions [time, 2] up to a trajectory's end."""
        actions = int(self.alive[stage, goal, trajectory].sum())
        return self.paths[stage, goal, trajectory, : actions + 1]


def journeys(name: str, tensors: Mapping[str, Tensor], steps: int) -> Journeys:
    """From saved trajectories (components.artifacts.trajectories); `name` and `steps` are the algorithm's."""
    return Journeys(
        name=name,
        paths=tensors["observations"].numpy(),
        alive=tensors["alive"].numpy(),
        goals=tensors["task/goal"].numpy(),
        starts=tensors["task/start"].numpy(),
        returns=tensors["rewards"].sum(dim=-1).mean(dim=-1).numpy(),
        steps=steps,
    )


def count(journeys: Journeys, positions: int) -> int:
    """Trajectories that a panel shows which has room for so many positions."""
    _, _, trajectories, time, _ = journeys.paths.shape
    return int(max(1, min(TRAJECTORIES, positions // time, trajectories)))


def reach(journeys: Sequence[Journeys]) -> float:
    """Half the width of every panel: policies that wander off leave the view."""
    places = np.concatenate([np.concatenate([own.goals, own.starts]) for own in journeys])
    return max(REACH, 1.3 * float(np.abs(places).max()))


def draw_plane(panel: Axes, journeys: Journeys, goal: int, reach: float) -> None:
    """A square view around the origin, with the start and the goal of a task."""
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    panel.locator_params(nbins=4, steps=[1, 2, 5, 10])
    panel.tick_params(labelsize=8, length=0)
    panel.plot(*journeys.starts[goal], zorder=4, **START)
    panel.plot(*journeys.goals[goal], zorder=4, **GOAL)


def broken(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Lines, each [points, 2], as one with gaps."""
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for line in lines for part in (line, gap)])


def after_all(journeys: Sequence[Journeys]) -> str:
    """ "after one step"; "after adaptation", where algorithms take different numbers of steps."""
    steps = {own.stages[1] for own in journeys}
    return after_steps(*steps) if len(steps) == 1 else "after adaptation"


def titled(journeys: Journeys, among: Sequence[Journeys]) -> str:
    """Its name, with its steps where others of them take another number."""
    alike = len({own.stages[1] for own in among}) == 1
    return journeys.name if alike else f"{journeys.name}\n{after_steps(journeys.stages[1])}"


def number(value: float) -> str:
    return str(Formatter.fix_minus(f"{value:.2f}"))
