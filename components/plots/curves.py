"""Learning curves: loss and validation score, or returns, over meta-training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, PercentFormatter

from components.artifacts.intervals import standard_errors
from components.plots.style import BLUE, GREY, INK, ORANGE, styled

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
