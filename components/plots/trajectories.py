"""Figure 4 of the paper: trajectories in a plane, before adaptation and after the steps that count."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from components.plots.planes import (
    GOAL,
    START,
    Journeys,
    after_all,
    broken,
    count,
    draw_plane,
    number,
    reach,
    titled,
)
from components.plots.style import BLUE, GREY, styled

DRAWN = 4500  # positions of one stage in all panels together, which bounds the size of the file
EARLY = 15  # actions that a trajectory is drawn strongly for: afterwards, most hover around the goal
PALE = 0.3


@styled
def trajectories_figure(journeys: Sequence[Journeys]) -> Figure:
    """Figure 4 of the paper: trajectories before adaptation and after the steps that count.

    A row per algorithm and a column per goal; all journeys have the same goals and starts. Above a
    panel stand its mean returns.
    """
    rows, columns = len(journeys), len(journeys[0].goals)
    figure = Figure(figsize=(1.85 * columns + 0.4, 1.95 * rows + 0.5))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for own, row in zip(journeys, panels, strict=True):
        row[0].set_ylabel(titled(own, journeys), fontsize=10.5)
        for goal, panel in enumerate(row):
            draw_plane(panel, own, goal, reach(journeys))
            _draw_step(panel, own, goal, count(own, DRAWN // (rows * columns)))
    keys = [
        Line2D([], [], color=GREY, linewidth=1.5, label="before"),
        Line2D([], [], color=BLUE, linewidth=1.5, label=f"{after_all(journeys)}, first {EARLY} actions"),
        Line2D([], [], color=BLUE, linewidth=1.5, alpha=PALE, label="later ones"),
        Line2D([], [], linestyle="", label="start", **START),
        Line2D([], [], linestyle="", label="goal", **GOAL),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 2 * columns), fontsize=9)
    return figure


def _draw_step(panel: Axes, journeys: Journeys, goal: int, count: int) -> None:
    """Trajectories before and after adaptation, and their mean returns."""
    stages = journeys.stages
    before, after = ([journeys.route(stage, goal, number) for number in range(count)] for stage in stages)
    panel.plot(*broken(before).T, color=GREY, linewidth=0.5, alpha=0.6)
    panel.plot(*broken([route[EARLY:] for route in after]).T, color=BLUE, linewidth=0.5, alpha=PALE)
    panel.plot(*broken([route[: EARLY + 1] for route in after]).T, color=BLUE, linewidth=1.1)
    returns = " → ".join(number(journeys.returns[stage, goal]) for stage in stages)
    panel.set_title(f"return {returns}", fontsize=9)
