"""A curve before adaptation and after it, through the points that it adapted on."""

import pandas as pd
from matplotlib.figure import Figure

from components.plots.style import BLUE, INK, ORANGE, styled
from metasgd.tasks import Examples

MOST = 200  # predictions that are marked: more would be a thick line


@styled
def curve_figure(support: Examples, predictions: pd.DataFrame, curve: pd.DataFrame, steps: int) -> Figure:
    """Support points, predictions, and the network's curve before and after so many steps.

    support: x and y [support, 1]. predictions, curve: columns x, before, after; the curve's x ascend.
    """
    figure = Figure(figsize=(6.4, 4.0))
    panel = figure.subplots()
    after = "after one step" if steps == 1 else f"after {steps} steps"
    panel.plot(curve["x"], curve["before"], color=INK, linewidth=1.3, linestyle=(0, (4, 2.5)), label="before")
    panel.plot(curve["x"], curve["after"], color=BLUE, linewidth=2.0, label=after)
    if len(predictions) <= MOST:
        panel.plot(predictions["x"], predictions["after"], "o", color=BLUE, markersize=4.5,
                   markeredgecolor="white", zorder=3, label="predictions")  # fmt: skip
    panel.plot(support.x.flatten().tolist(), support.y.flatten().tolist(), "o", color=ORANGE, markersize=7,
               markeredgecolor="white", zorder=4, label="support points")  # fmt: skip
    panel.set_xlabel("x")
    panel.set_ylabel("y")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
