"""Pictures of a run: learning curves, sine fits (Figure 3 of the paper), episodes, alpha per layer.

Pure functions from numbers to a matplotlib Figure, all in one style; `save` writes equal bytes for
equal figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, Formatter, PercentFormatter

from components.mosaic import episode_sheet
from components.statistics import standard_errors
from components.style import BLUE, GREY, INK, LIGHT, ORANGE, save, styled

__all__ = [
    "alpha_by_layer",
    "alpha_table",
    "contact_sheet",
    "learning_curve",
    "returns_curve",
    "save",
    "sine_fits",
]

SCORES = {"mse": "mean squared error", "accuracy": "accuracy"}
DRAWN_POINTS = 1500


@styled
def learning_curve(curve: pd.DataFrame, metric: str, chosen: int | None = None) -> Figure:
    """Training loss (raw and smoothed) above the validation score, the chosen iteration marked.

    curve: columns iteration, train_loss, validation (NaN between validations).
    metric: "mse" or "accuracy" (a fraction), what `validation` holds.
    chosen: the iteration whose checkpoint was kept; by default the one with the best validation.
    """
    validated = curve.dropna(subset=["validation"])
    figure = Figure(figsize=(5.2, 3.9 if len(validated) else 2.4))
    rows = 2 if len(validated) else 1
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=[1, 1.1][:rows])[:, 0]
    _draw_training_loss(axes[0], curve)
    if len(validated):
        _draw_validation(axes[1], validated, metric, chosen)
    axes[-1].set_xlabel("meta-iteration")
    axes[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    return figure


def _draw_training_loss(axes: Axes, curve: pd.DataFrame) -> None:
    loss = curve["train_loss"]
    smooth = loss.rolling(max(1, len(loss) // 40), center=True, min_periods=1).mean()
    # Tens of thousands of points would make the SVG heavy without showing more.
    thin = np.arange(0, len(loss), max(1, len(loss) // DRAWN_POINTS))
    axes.plot(curve["iteration"].iloc[thin], loss.iloc[thin], color=GREY, alpha=0.45, linewidth=0.6)
    axes.plot(curve["iteration"].iloc[thin], smooth.iloc[thin], color=INK, linewidth=1.6)
    finite = loss[np.isfinite(loss)]
    if len(finite) and finite.max() > finite.min() >= 0:
        # A few early losses can be so large that they would flatten the rest of the curve.
        axes.set_ylim(0, 1.1 * float(finite.quantile(0.99)))
    axes.set_title("Training loss")


def _draw_validation(axes: Axes, validated: pd.DataFrame, metric: str, chosen: int | None) -> None:
    axes.plot(validated["iteration"], validated["validation"], color=BLUE, linewidth=1.8, marker="o",
              markersize=2.5)  # fmt: skip
    axes.set_title(f"Validation {SCORES.get(metric, metric)}")
    if metric == "accuracy":
        _mark_chosen(axes, validated, chosen, "{:.1%}", higher_is_better=True)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        _mark_chosen(axes, validated, chosen, "{:.3f}", higher_is_better=False)


def _mark_chosen(
    axes: Axes, validated: pd.DataFrame, chosen: int | None, form: str, *, higher_is_better: bool
) -> None:
    """Mark the chosen iteration, or the best one where it is not known; form: how its score is written."""
    iterations, scores = validated["iteration"].to_numpy(), validated["validation"].to_numpy()
    best = int(scores.argmax() if higher_is_better else scores.argmin())
    place = best if chosen is None or chosen not in iterations else int(np.searchsorted(iterations, chosen))
    marked, score = int(iterations[place]), float(scores[place])
    axes.plot([marked], [score], "o", color=ORANGE, markersize=7, markeredgecolor="white", zorder=5)
    axes.axvline(marked, color=ORANGE, linewidth=0.9, linestyle=(0, (3, 3)))
    shown = Formatter.fix_minus(form.format(score))
    axes.set_title(f"● chosen: {shown} at iteration {marked:,}", loc="right", color=ORANGE, fontsize=9)


@styled
def returns_curve(curve: pd.DataFrame, tasks: int, chosen: int | None = None) -> Figure:
    """Mean return before and after adaptation over meta-training, and on the validation tasks.

    curve: columns iteration, return_before, return_before_sem, return_after, return_after_sem (means
        over the iteration's tasks, and their standard errors), validation (NaN between validations).
    tasks: tasks of an iteration.
    chosen: as for `learning_curve`.
    """
    finite = curve.replace([np.inf, -np.inf], np.nan)
    thin = finite.iloc[:: max(1, len(finite) // DRAWN_POINTS)]
    validated = finite.dropna(subset=["validation"])
    figure = Figure(figsize=(5.2, 3.4))
    axes = figure.subplots()
    shown = [validated["validation"]]
    for stage, color in (("before", GREY), ("after", BLUE)):
        mean, half = thin[f"return_{stage}"], standard_errors(tasks) * thin[f"return_{stage}_sem"]
        shown += [mean, mean - half, mean + half]
        axes.fill_between(thin["iteration"], mean - half, mean + half, color=color, alpha=0.22, linewidth=0)
        axes.plot(thin["iteration"], mean, color=color, linewidth=1.8, label=f"{stage} adaptation")
    axes.set_title("Average return")
    if len(validated):
        axes.plot(validated["iteration"], validated["validation"], "o", color=INK, markersize=4,
                  markeredgecolor="white", label="after, on validation tasks", zorder=4)  # fmt: skip
        _mark_chosen(axes, validated, chosen, "{:.2f}", higher_is_better=True)
    _limit_returns(axes, np.concatenate(shown))
    axes.set_xlabel("meta-iteration")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, columnspacing=1.4, handlelength=1.5)
    return figure


def _limit_returns(axes: Axes, returns: np.ndarray) -> None:
    """Show all returns but those far outside the others: policies that wander off lose without bound."""
    returns = returns[np.isfinite(returns)]
    if not len(returns):
        return
    low, high = np.quantile(returns, [0.1, 0.9])
    usual = returns[np.abs(returns - np.clip(returns, low, high)) <= 3 * (high - low)]
    margin = 0.08 * float(np.ptp(usual)) or 1.0
    axes.set_ylim(float(usual.min()) - margin, float(usual.max()) + margin)


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


@styled
def contact_sheet(images: np.ndarray, shots: int) -> Figure:
    """Episodes as they are dealt: a row per class, its framed support pictures, then its queries.

    images: uint8 [tasks, ways, columns, channels, height, width]; the first `shots` columns are
        support pictures, the others query pictures.
    """
    tasks, columns = len(images), images.shape[2]
    across = min(tasks, max(1, 16 // columns))
    sheets = [episode_sheet(episode, shots, BLUE, LIGHT) for episode in images]
    height, width = sheets[0].shape[:2]
    down = -(-tasks // across)
    figure = Figure(figsize=(7.6, down * (7.6 / across * height / width + 0.35)))
    panels = figure.subplots(down, across, squeeze=False).flat
    for number, panel in enumerate(panels):
        panel.set_axis_off()
        if number < tasks:
            panel.imshow(sheets[number], interpolation="nearest")
            panel.set_title(f"Episode {number + 1}", fontsize=9)
    swatches = [Patch(color=BLUE, label="support: adapted on"), Patch(color=LIGHT, label="query: scored on")]
    figure.legend(handles=swatches, loc="outside lower left", ncols=2, fontsize=9)
    return figure


def alpha_table(alpha: Mapping[str, np.ndarray]) -> pd.DataFrame:
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
def alpha_by_layer(alpha: Mapping[str, np.ndarray]) -> Figure:
    """Quantiles of alpha per parameter tensor on a scale symmetric about 0, negative shares beside.

    alpha: name -> array of the tensor's shape, or of shape [] where one rate serves the tensor;
        one rate that all tensors share takes one row.
    """
    rates = _shared_rate(alpha) or {name: np.ravel(values) for name, values in alpha.items()}
    figure = Figure(figsize=(5.4, 0.28 * len(rates) + 1.3))
    axes = figure.subplots()
    reach = 1.15 * max(float(np.abs(np.quantile(a, [0.01, 0.99])).max()) for a in rates.values()) or 1.0
    axes.axvspan(-reach, 0, color=ORANGE, alpha=0.06, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1.0)
    for row, values in enumerate(rates.values()):
        _draw_rates(axes, row, values)
    axes.set(xlim=(-reach, reach), ylim=(len(rates) - 0.4, -0.6), xlabel=r"$\alpha$")
    axes.set_yticks(range(len(rates)), list(rates))
    axes.grid(visible=False, axis="y")
    single = all(values.size == 1 for values in rates.values())
    axes.set_title("one rate" if single else "median, middle half, middle 98 % of the entries", fontsize=9)
    axes.annotate(
        "negative", (1, 1), (6, 6), xycoords="axes fraction", textcoords="offset points", fontsize=9
    )
    return figure


def _shared_rate(alpha: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The one rate of all tensors under one name, or None where tensors have rates of their own."""
    values = list(alpha.values())
    shared = all(np.ndim(value) == 0 and value == values[0] for value in values)
    return {"all layers": np.ravel(values[0])} if shared else None


def _draw_rates(axes: Axes, row: int, values: np.ndarray) -> None:
    """One tensor's row: its quantiles, or its single value, and at the right its share of negatives."""
    low, left, median, right, high = np.quantile(values, [0.01, 0.25, 0.5, 0.75, 0.99])
    if values.size == 1:
        axes.annotate(f"{median:.3g}", (median, row), (0, 7), textcoords="offset points", ha="center")
    axes.plot([low, high], [row, row], color=BLUE, linewidth=1.2, alpha=0.6)
    axes.plot([left, right], [row, row], color=BLUE, linewidth=7, alpha=0.55, solid_capstyle="butt")
    axes.plot([median], [row], "o", color="white", markeredgecolor=BLUE, markersize=5, zorder=4)
    share = float((values < 0).mean())
    axes.annotate(f"{share:.0%}", (1, row), (6, 0), xycoords=("axes fraction", "data"),
                  textcoords="offset points", va="center", color=ORANGE if share else GREY)  # fmt: skip
