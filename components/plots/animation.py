"""Trajectories in a plane in motion: before adaptation, then after the steps that count."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from components.plots.planes import (
    Journeys,
    after_all,
    broken,
    count,
    draw_plane,
    number,
    reach,
    titled,
)
from components.plots.style import BLUE, GREY, STYLE, save_animation

MOVING = 3000  # positions of one stage in all panels together, which bounds the size of the file
GOALS, FRAMES = 3, 22  # tasks, frames of a stage
TRAIL = 6  # actions that a trail fades over
# Milliseconds that a frame stays; the first and the last of a stage, and the very last, stay longer.
PAUSE, FIRST_PAUSE, LAST_PAUSE, END_PAUSE = 100, 700, 1300, 2600


def adaptation_animation(journeys: Sequence[Journeys], path: Path) -> None:
    """Write a GIF that loops: points move along their trajectories, before and after adaptation.

    A row per algorithm and a column per goal; all journeys have the same goals and starts.
    """
    with style.context(["default", STYLE, {"figure.constrained_layout.use": False}]):
        save_animation(_animate(journeys), path)


def _animate(journeys: Sequence[Journeys]) -> Iterator[tuple[np.ndarray, int]]:
    """Every picture, uint8 [height, width, 3], and the milliseconds that it stays."""
    scene = _Scene(journeys)
    moments = _moments(journeys[0].paths.shape[3])
    for adapted in (False, True):
        scene.begin(adapted)
        for moment in moments:
            pause = FIRST_PAUSE if moment == 0 else PAUSE
            if moment == moments[-1]:
                pause = END_PAUSE if adapted else LAST_PAUSE
            yield scene.picture(moment), pause


def _moments(horizon: int) -> list[int]:
    """Actions after which a picture is taken: at first each one, then fewer, as most is over early."""
    return sorted({round((horizon - 1) * (frame / (FRAMES - 1)) ** 2) for frame in range(FRAMES)})


class _Scene:
    """Draws what rests once per stage, and for every picture only what moves: that is much faster."""

    def __init__(self, journeys: Sequence[Journeys]) -> None:
        rows, columns = len(journeys), min(GOALS, len(journeys[0].goals))
        width, height = 0.4 + 2.3 * columns, 0.5 + 2.5 * rows
        self.after = after_all(journeys)
        self.figure = Figure(figsize=(width, height), dpi=100)
        self.canvas: Any = FigureCanvasAgg(self.figure)
        left, right, top = 0.35 / width, 1 - 0.05 / width, 1 - 0.3 / height
        self.title = self.figure.text(left, top, "", fontsize=13)
        self.clock = self.figure.text(right, top, "", fontsize=9, ha="right", animated=True)
        edges = {"left": left, "right": right, "bottom": 0.08 / height, "top": top - 0.4 / height}
        spaces = {"wspace": 0.08, "hspace": 0.15}
        panels = self.figure.subplots(rows, columns, squeeze=False, gridspec_kw={**edges, **spaces})
        for own, row in zip(journeys, panels, strict=True):
            row[0].set_ylabel(titled(own, journeys), fontsize=11)
        self.panels = [
            _Panel(panel, own, goal, reach(journeys), count(own, MOVING // (rows * columns)))
            for own, row in zip(journeys, panels, strict=True)
            for goal, panel in enumerate(row)
        ]

    def begin(self, adapted: bool) -> None:
        self.title.set_text(self.after if adapted else "before adaptation")
        for panel in self.panels:
            panel.begin(adapted)
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
        draw_plane(axes, journeys, goal, reach)
        axes.tick_params(labelbottom=False, labelleft=False)
        (self.ways,) = axes.plot([], [], linewidth=0.8, alpha=0.3, animated=True)
        self.trails = LineCollection([], linewidths=1.8, animated=True)
        axes.add_collection(self.trails, autolim=False)
        (self.points,) = axes.plot([], [], "o", markersize=4.5, markeredgecolor="white", markeredgewidth=0.5,
                                   animated=True)  # fmt: skip

    def begin(self, adapted: bool) -> None:
        own, goal = self.journeys, self.goal
        stage = own.stages[adapted]
        self.color = BLUE if adapted else GREY
        self.ways.set_color(self.color)
        self.points.set_color(self.color)
        self.axes.set_title(f"return {number(own.returns[stage, goal])}", fontsize=9)
        routes = [own.route(stage, goal, trajectory) for trajectory in range(self.count)]
        # A point stays where its trajectory has ended.
        time = np.arange(own.paths.shape[3])
        self.places = np.stack([route[np.minimum(time, len(route) - 1)] for route in routes])

    def draw(self, moment: int) -> None:
        tail = self.places[:, max(0, moment - TRAIL) : moment + 1]
        pieces = np.stack([tail[:, :-1], tail[:, 1:]], axis=2)
        shares = np.linspace(0, 1, TRAIL + 1)[TRAIL + 1 - pieces.shape[1] :]
        self.ways.set_data(*broken(list(self.places[:, : moment + 1])).T)
        self.trails.set_segments(list(pieces.reshape(-1, 2, 2)))
        self.trails.set_color([to_rgba(self.color, share) for share in np.tile(shares, self.count)])
        self.points.set_data(*self.places[:, moment].T)
        for artist in (self.ways, self.trails, self.points):
            self.axes.draw_artist(artist)
