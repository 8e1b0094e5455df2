"""Learning curves: loss and validation score, or returns, over meta-training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, PercentFormatter

from components.artifacts.intervals import standard_errors
from components.plots.style import BLUE, GREY, INK, ORANGE, styled

SCORES = {"mse": "mean squared error", "accuracy": "accuracy"}
DRAWN_POINTS = 1500
MARGIN = 0.08  # of what is shown, above and below


@styled
def learning_curve(
    curve: pd.DataFrame, metric: str, chosen: int | None = None, beside: Sequence[pd.DataFrame] = ()
) -> Figure:
    """Training loss (raw and smoothed) above the validation score, the chosen iteration marked.

    curve: columns iteration, train_loss, validation (NaN between validations).
    metric: "mse" or "accuracy" (a fraction), what `validation` holds.
    chosen: the iteration whose checkpoint was kept; by default the one with the best validation.
    beside: the curves of pictures that stand beside this one, whose axes it shares.
    """
    curves = [curve, *beside]
    validated = curve.dropna(subset=["validation"])
    figure = Figure(figsize=(5.2, 3.9 if len(validated) else 2.4))
    rows = 2 if len(validated) else 1
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=[1, 1.1][:rows])[:, 0]
    _draw_training_loss(axes[0], curve)
    _limit_losses(axes[0], [one["train_loss"] for one in curves])
    if len(validated):
        _draw_validation(axes[1], validated, metric, chosen)
        _limit(axes[1], pd.concat([one["validation"] for one in curves]).to_numpy())
    axes[-1].set_xlim(_iterations(curves))
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
    axes.set_title("Training loss")


def _limit_losses(axes: Axes, losses: Sequence[pd.Series]) -> None:
    """From 0 to nearly the largest: a few early losses would flatten the rest of the curve."""
    finite = [loss[np.isfinite(loss)] for loss in losses]
    settled = [loss.iloc[len(loss) // 20 :] for loss in finite if len(loss)]
    if settled and min(loss.min() for loss in settled) >= 0:
        top = 1.1 * max(float(loss.quantile(0.99)) for loss in settled)
        axes.set_ylim(0, top or 1.0)


def _iterations(curves: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """All of them, with a margin."""
    last = max((float(one["iteration"].max()) for one in curves if len(one)), default=1.0)
    return -0.03 * last, 1.03 * last


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
def returns_curve(
    curve: pd.DataFrame, tasks: int, chosen: int | None = None, beside: Sequence[pd.DataFrame] = ()
) -> Figure:
    """Mean return before and after adaptation over meta-training, and on the validation tasks.

    curve: columns iteration, return_before, return_before_sem, return_after, return_after_sem (means
        over the iteration's tasks, and their standard errors), validation (NaN between validations).
    tasks: tasks of an iteration.
    chosen, beside: as for `learning_curve`.
    """
    finite = curve.replace([np.inf, -np.inf], np.nan)
    thin = finite.iloc[:: max(1, len(finite) // DRAWN_POINTS)]
    validated = finite.dropna(subset=["validation"])
    figure = Figure(figsize=(5.2, 3.4))
    axes = figure.subplots()
    for stage, color in (("before", GREY), ("after", BLUE)):
        mean, half = thin[f"return_{stage}"], standard_errors(tasks) * thin[f"return_{stage}_sem"]
        axes.fill_between(thin["iteration"], mean - half, mean + half, color=color, alpha=0.22, linewidth=0)
        axes.plot(thin["iteration"], mean, color=color, linewidth=1.8, label=f"{stage} adaptation")
    axes.set_title("Average return")
    if len(validated):
        axes.plot(validated["iteration"], validated["validation"], "o", color=INK, markersize=4,
                  markeredgecolor="white", label="after, on validation tasks", zorder=4)  # fmt: skip
        _mark_chosen(axes, validated, chosen, "{:.2f}", higher_is_better=True)
    curves = [curve, *beside]
    _limit(axes, np.concatenate([_returns(one, tasks) for one in curves]))
    axes.set_xlim(_iterations(curves))
    axes.set_xlabel("meta-iteration")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, columnspacing=1.4, handlelength=1.5)
    return figure


def _returns(curve: pd.DataFrame, tasks: int) -> np.ndarray:
    """Everything that is drawn of a curve."""
    means = [(curve[f"return_{stage}"], curve[f"return_{stage}_sem"]) for stage in ("before", "after")]
    halves = [(mean, standard_errors(tasks) * sem) for mean, sem in means]
    drawn = [part for mean, half in halves for part in (mean, mean - half, mean + half)]
    return np.concatenate([curve["validation"], *drawn])


def _limit(axes: Axes, scores: np.ndarray) -> None:
    """Show all scores but those far outside the others: policies that wander off lose without bound."""
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return
    low, high = np.quantile(scores, [0.1, 0.9])
    usual = scores[np.abs(scores - np.clip(scores, low, high)) <= 3 * (high - low)]
    margin = MARGIN * float(np.ptp(usual)) or 1.0
    axes.set_ylim(float(usual.min()) - margin, float(usual.max()) + margin)
