"""Pictures of 2-D navigation: Figure 4 of the paper, trajectories before and after a step, and in motion."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter

from components.style import BLUE, GREY, INK, ORANGE, STYLE, save_animation, styled

REACH = 0.8  # half the width of a panel, at least; goals usually lie within 0.5
# Positions of one stage in all panels together, which bounds the size of a file: still, and in motion.
DRAWN, MOVING = 4500, 3000
TRAJECTORIES = 8  # in a panel, at most
EARLY = 15  # actions that a trajectory is drawn strongly for: afterwards, most hover around the goal
# Of the animation: tasks, stages, frames of a stage, actions that a trail fades over.
GOALS, STAGES, FRAMES, TRAIL = 3, 4, 22, 6
# Milliseconds that a frame stays; the first and the last of a stage, and the very last, stay longer.
PAUSE, FIRST_PAUSE, LAST_PAUSE, END_PAUSE = 100, 700, 1300, 2600
PALE = 0.3
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
    """

    name: str
    paths: np.ndarray
    alive: np.ndarray
    goals: np.ndarray
    starts: np.ndarray
    returns: np.ndarray

    def route(self, stage: int, goal: int, trajectory: int) -> np.ndarray:
        """Positions [time, 2] up to a trajectory's end."""
        actions = int(self.alive[stage, goal, trajectory].sum())
        return self.paths[stage, goal, trajectory, : actions + 1]


@styled
def trajectories_figure(journeys: Sequence[Journeys]) -> Figure:
    """Figure 4 of the paper: trajectories before adaptation and after one step.

    A row per algorithm and a column per goal; all journeys have the same goals and starts. Above a
    panel stand its mean returns.
    """
    rows, columns = len(journeys), len(journeys[0].goals)
    figure = Figure(figsize=(1.85 * columns + 0.4, 1.95 * rows + 0.5))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for own, row in zip(journeys, panels, strict=True):
        row[0].set_ylabel(own.name, fontsize=10.5)
        for goal, panel in enumerate(row):
            _draw_plane(panel, own, goal, _reach(journeys))
            _draw_step(panel, own, goal, _count(own, DRAWN // (rows * columns)))
    keys = [
        Line2D([], [], color=GREY, linewidth=1.5, label="before"),
        Line2D([], [], color=BLUE, linewidth=1.5, label=f"after one step, first {EARLY} actions"),
        Line2D([], [], color=BLUE, linewidth=1.5, alpha=PALE, label="later ones"),
        Line2D([], [], linestyle="", label="start", **START),
        Line2D([], [], linestyle="", label="goal", **GOAL),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 2 * columns), fontsize=9)
    return figure


def _draw_step(panel: Axes, journeys: Journeys, goal: int, count: int) -> None:
    """Trajectories before adaptation and after one step, and their mean returns."""
    stages = [0, min(1, len(journeys.paths) - 1)]
    before, after = ([journeys.route(stage, goal, number) for number in range(count)] for stage in stages)
    panel.plot(*_broken(before).T, color=GREY, linewidth=0.5, alpha=0.6)
    panel.plot(*_broken([route[EARLY:] for route in after]).T, color=BLUE, linewidth=0.5, alpha=PALE)
    panel.plot(*_broken([route[: EARLY + 1] for route in after]).T, color=BLUE, linewidth=1.1)
    returns = " → ".join(_number(journeys.returns[stage, goal]) for stage in stages)
    panel.set_title(f"return {returns}", fontsize=9)


def _count(journeys: Journeys, positions: int) -> int:
    """Trajectories that a panel shows which has room for so many positions."""
    _, _, trajectories, time, _ = journeys.paths.shape
    return int(max(1, min(TRAJECTORIES, positions // time, trajectories)))


def _reach(journeys: Sequence[Journeys]) -> float:
    """Half the width of every panel: policies that wander off leave the view."""
    places = np.concatenate([np.concatenate([own.goals, own.starts]) for own in journeys])
    return max(REACH, 1.3 * float(np.abs(places).max()))


def _draw_plane(panel: Axes, journeys: Journeys, goal: int, reach: float) -> None:
    """A square view around the origin, with the start and the goal of a task."""
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    panel.locator_params(nbins=4, steps=[1, 2, 5, 10])
    panel.tick_params(labelsize=8, length=0)
    panel.plot(*journeys.starts[goal], zorder=4, **START)
    panel.plot(*journeys.goals[goal], zorder=4, **GOAL)


def _broken(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Lines, each [points, 2], as one with gaps."""
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for line in lines for part in (line, gap)])


def _number(value: float) -> str:
    return str(Formatter.fix_minus(f"{value:.2f}"))


def adaptation_animation(journeys: Sequence[Journeys], path: Path) -> None:
    """Write a GIF that loops: points move along their trajectories, before adaptation and after each step.

    A row per algorithm and a column per goal; all journeys have the same goals and starts.
    """
    with style.context(["default", STYLE, {"figure.constrained_layout.use": False}]):
        save_animation(_animate(journeys), path)


def _animate(journeys: Sequence[Journeys]) -> Iterator[tuple[np.ndarray, int]]:
    """Every picture, uint8 [height, width, 3], and the milliseconds that it stays."""
    stages = min(STAGES, *(len(own.paths) for own in journeys))
    scene = _Scene(journeys)
    moments = _moments(journeys[0].paths.shape[3])
    for stage in range(stages):
        scene.begin(stage)
        for moment in moments:
            pause = FIRST_PAUSE if moment == 0 else PAUSE
            if moment == moments[-1]:
                pause = END_PAUSE if stage == stages - 1 else LAST_PAUSE
            yield scene.picture(moment), pause


def _moments(horizon: int) -> list[int]:
    """Actions after which a picture is taken: at first each one, then fewer, as most is over early."""
    return sorted({round((horizon - 1) * (frame / (FRAMES - 1)) ** 2) for frame in range(FRAMES)})


class _Scene:
    """Draws what rests once per stage, and for every picture only what moves: that is much faster."""

    def __init__(self, journeys: Sequence[Journeys]) -> None:
        rows, columns = len(journeys), min(GOALS, len(journeys[0].goals))
        width, height = 0.4 + 2.3 * columns, 0.5 + 2.5 * rows
        self.figure = Figure(figsize=(width, height), dpi=100)
        self.canvas: Any = FigureCanvasAgg(self.figure)
        left, right, top = 0.35 / width, 1 - 0.05 / width, 1 - 0.3 / height
        self.title = self.figure.text(left, top, "", fontsize=13)
        self.clock = self.figure.text(right, top, "", fontsize=9, ha="right", animated=True)
        edges = {"left": left, "right": right, "bottom": 0.08 / height, "top": top - 0.4 / height}
        spaces = {"wspace": 0.08, "hspace": 0.15}
        panels = self.figure.subplots(rows, columns, squeeze=False, gridspec_kw={**edges, **spaces})
        for own, row in zip(journeys, panels, strict=True):
            row[0].set_ylabel(own.name, fontsize=11)
        self.panels = [
            _Panel(panel, own, goal, _reach(journeys), _count(own, MOVING // (rows * columns)))
            for own, row in zip(journeys, panels, strict=True)
            for goal, panel in enumerate(row)
        ]

    def begin(self, stage: int) -> None:
        self.title.set_text(f"after {stage} step{'s' if stage > 1 else ''}" if stage else "before adaptation")
        for panel in self.panels:
            panel.begin(stage)
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)

    def picture(self, moment: int) -> np.ndarray:
        self.canvas.restore_region(self.still)
        self.clock.set_text(f"{moment} actions")
        self.figure.draw_artist(self.clock)
        for panel in self.panels:
            panel.draw(moment)
        return np.array(self.canvas.buffer_rgba())[..., :3]


class _Panel:
    """One task of one algorithm: its points, the trails that fade behind them, and all their ways so far."""

    def __init__(self, axes: Axes, journeys: Journeys, goal: int, reach: float, count: int) -> None:
        self.axes, self.journeys, self.goal, self.count = axes, journeys, goal, count
        _draw_plane(axes, journeys, goal, reach)
        axes.tick_params(labelbottom=False, labelleft=False)
        (self.ways,) = axes.plot([], [], linewidth=0.8, alpha=0.3, animated=True)
        self.trails = LineCollection([], linewidths=1.8, animated=True)
        axes.add_collection(self.trails, autolim=False)
        (self.points,) = axes.plot([], [], "o", markersize=4.5, markeredgecolor="white", markeredgewidth=0.5,
                                   animated=True)  # fmt: skip

    def begin(self, stage: int) -> None:
        own, goal = self.journeys, self.goal
        self.color = BLUE if stage else GREY
        self.ways.set_color(self.color)
        self.points.set_color(self.color)
        self.axes.set_title(f"return {_number(own.returns[stage, goal])}", fontsize=9)
        routes = [own.route(stage, goal, trajectory) for trajectory in range(self.count)]
        # A point stays where its trajectory has ended.
        time = np.arange(own.paths.shape[3])
        self.places = np.stack([route[np.minimum(time, len(route) - 1)] for route in routes])

    def draw(self, moment: int) -> None:
        tail = self.places[:, max(0, moment - TRAIL) : moment + 1]
        pieces = np.stack([tail[:, :-1], tail[:, 1:]], axis=2)
        shares = np.linspace(0, 1, TRAIL + 1)[TRAIL + 1 - pieces.shape[1] :]
        self.ways.set_data(*_broken(list(self.places[:, : moment + 1])).T)
        self.trails.set_segments(list(pieces.reshape(-1, 2, 2)))
        self.trails.set_color([to_rgba(self.color, share) for share in np.tile(shares, self.count)])
        self.points.set_data(*self.places[:, moment].T)
        for artist in (self.ways, self.trails, self.points):
            self.axes.draw_artist(artist)
