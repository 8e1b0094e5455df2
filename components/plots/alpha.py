"""What alpha became, layer by layer: as a table, and as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

from components.plots.style import BLUE, GREY, ORANGE, save, styled

Alpha = Mapping[str, np.ndarray]  # by layer, in the network's order


def draw_alpha(alpha: Alpha, folder: Path, beside: Sequence[Alpha] = ()) -> None:
    """Write alpha.svg and alpha.csv, where there is any alpha. beside: as for `alpha_by_layer`."""
    if alpha:
        save(alpha_by_layer(alpha, beside), folder / "alpha.svg")
        alpha_table(alpha).to_csv(folder / "alpha.csv", index=False)


def alpha_table(alpha: Alpha) -> pd.DataFrame:
    """What alpha became in each layer, in the order of `alpha`.

    Columns: layer, entries, mean, median, minimum, maximum, negative_share (0..1).
    """
    columns = ["layer", "entries", "mean", "median", "minimum", "maximum", "negative_share"]
    rows = [
        (layer, a.size, a.mean(), np.median(a), a.min(), a.max(), (a < 0).mean())
        for layer, a in ((layer, np.asarray(values, np.float64)) for layer, values in alpha.items())
    ]
    return pd.DataFrame(rows, columns=columns)


@styled
def alpha_by_layer(alpha: Alpha, beside: Sequence[Alpha] = ()) -> Figure:
    """Quantiles of alpha per parameter tensor on a scale symmetric about 0, negative shares beside.

    alpha: name -> array of the tensor's shape, or of shape [] where one rate serves the tensor;
        one rate that all tensors share takes one row.
    beside: those of pictures that stand beside this one, whose scale it shares.
    """
    rates = _shared_rate(alpha) or {name: np.ravel(values) for name, values in alpha.items()}
    figure = Figure(figsize=(5.4, 0.28 * len(rates) + 1.3))
    axes = figure.subplots()
    reach = 1.15 * max(_farthest(one) for one in (alpha, *beside) if one) or 1.0
    axes.axvspan(-reach, 0, color=ORANGE, alpha=0.06, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1.0)
    for row, values in enumerate(rates.values()):
        _draw_rates(axes, row, values)
    axes.set(xlim=(-reach, reach), ylim=(len(rates) - 0.4, -0.6), xlabel=r"$\alpha$")
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks(range(len(rates)), list(rates))
    axes.grid(visible=False, axis="y")
    single = all(values.size == 1 for values in rates.values())
    axes.set_title("one rate" if single else "median, middle half, middle 98 % of the entries", fontsize=9)
    axes.annotate(
        "negative", (1, 1), (6, 6), xycoords="axes fraction", textcoords="offset points", fontsize=9
    )
    return figure


def _farthest(alpha: Alpha) -> float:
    """From 0, of all that is drawn."""
    return max(float(np.abs(np.quantile(values, [0.01, 0.99])).max()) for values in alpha.values())


def _shared_rate(alpha: Alpha) -> dict[str, np.ndarray] | None:
    """The one rate of all tensors under one name, or None where tensors have rates of their own."""
    values = list(alpha.values())
    shared = all(np.ndim(value) == 0 and value == values[0] for value in values)
    return {"all layers": np.ravel(values[0])} if shared else None


def _draw_rates(axes: Axes, row: int, values: np.ndarray) -> None:
    """One tensor's row: its quantiles, or its single value, and at the right its share of negatives."""
    low, left, median, right, high = np.quantile(values, [0.01, 0.25, 0.5, 0.75, 0.99])
    if values.size == 1:
        axes.annotate(
            Formatter.fix_minus(f"{median:.3g}"),
            (median, row),
            (0, 7),
            textcoords="offset points",
            ha="center",
        )
    axes.plot([low, high], [row, row], color=BLUE, linewidth=1.2, alpha=0.6)
    axes.plot([left, right], [row, row], color=BLUE, linewidth=7, alpha=0.55, solid_capstyle="butt")
    axes.plot([median], [row], "o", color="white", markeredgecolor=BLUE, markersize=5, zorder=4)
    share = float((values < 0).mean())
    axes.annotate(f"{share:.0%}", (1, row), (6, 0), xycoords=("axes fraction", "data"),
                  textcoords="offset points", va="center", color=ORANGE if share else GREY)  # fmt: skip
