"""Figure 3 of the paper: curves, and what one step makes of the network."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from components.plots.style import BLUE, GREY, INK, ORANGE, styled


@styled
def sine_fits(fits: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3 of the paper: the curve, and the network before and after its step, a panel per task.

    fits: each with title, support_x and support_y [support], and query_x, truth, before and after
        [queries], query_x ascending.
    """
    figure = Figure(figsize=(3.3 * len(fits), 3.0))
    axes = figure.subplots(1, len(fits), sharey=True, squeeze=False)[0]
    for panel, fit in zip(axes, fits, strict=True):
        x = fit["query_x"]
        panel.plot(x, fit["truth"], color=GREY, linewidth=4.5, alpha=0.55, label="the task's curve")
        panel.plot(x, fit["before"], color=INK, linewidth=1.3, linestyle=(0, (4, 2.5)), label="before")
        panel.plot(x, fit["after"], color=BLUE, linewidth=2.0, label="after one step")
        panel.plot(fit["support_x"], fit["support_y"], "o", color=ORANGE, markersize=6.5,
                   markeredgecolor="white", zorder=4, label="support points")  # fmt: skip
        panel.set_title(fit["title"])
        panel.set_xlabel("x")
    axes[0].set_ylabel("y")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * len(fits))
    )
    return figure
