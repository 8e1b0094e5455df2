"""Figure 3 of the paper: curves, and what the steps make of the network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from components.plots.style import BLUE, GREY, INK, ORANGE, styled
from components.plots.words import after_steps

REACH = 1.6  # half the height of a panel, in the curves' largest values


@styled
def sine_fits(fits: Sequence[Mapping[str, Any]], steps: int = 1) -> Figure:
    """Figure 3 of the paper: the curve, and the network before and after its steps, a panel per task.

    Above each panel stand its mean squared errors.

    fits: each with title, support_x and support_y [support], and query_x, truth, before and after
        [queries], query_x ascending.
    steps: inner steps between before and after.
    """
    figure = Figure(figsize=(3.3 * len(fits), 3.2))
    axes = figure.subplots(1, len(fits), sharey=True, squeeze=False)[0]
    for panel, fit in zip(axes, fits, strict=True):
        x = fit["query_x"]
        panel.plot(x, fit["truth"], color=GREY, linewidth=4.5, alpha=0.55, label="the task's curve")
        panel.plot(x, fit["before"], color=INK, linewidth=1.3, linestyle=(0, (4, 2.5)), label="before")
        panel.plot(x, fit["after"], color=BLUE, linewidth=2.0, label=after_steps(steps))
        panel.plot(fit["support_x"], fit["support_y"], "o", color=ORANGE, markersize=6.5,
                   markeredgecolor="white", zorder=4, label="support points")  # fmt: skip
        before, after = (_error(fit, stage) for stage in ("before", "after"))
        panel.set_title(f"{fit['title']}\nerror {before:.2f} → {after:.2f}", fontsize=9.5)
        panel.set_xlabel("x")
    # By the curves alone: all learners' pictures share this view, and one that missed them leaves it.
    reach = REACH * max(float(np.abs(fit["truth"]).max()) for fit in fits) or 1.0
    axes[0].set(ylabel="y", ylim=(-reach, reach))
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * len(fits))
    )
    return figure


def _error(fit: Mapping[str, Any], stage: str) -> float:
    return float(np.square(np.subtract(fit[stage], fit["truth"])).mean())
