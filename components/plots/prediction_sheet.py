"""Episodes with what a learner makes of them: right and wrong predictions, before and after adaptation."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from components.plots.contact_sheet import framed
from components.plots.style import BLUE, GREEN, GREY, MIDDLE, ORANGE, styled
from components.plots.words import after_steps


@dataclass(frozen=True)
class Predicted:
    """An episode, and what a learner makes of its query pictures.

    support, queries: uint8 [ways, pictures, channels, height, width].
    verdicts: int [2, ways, queries], before and after adaptation: 1 is right, -1 wrong, and 0 is undecided
        between classes that are as likely.
    accuracies: before and after, on all query pictures, of which `queries` may be a part.
    """

    support: np.ndarray
    queries: np.ndarray
    verdicts: np.ndarray
    accuracies: tuple[float, float]


@styled
def prediction_sheet(episodes: list[Predicted], steps: int) -> Figure:
    """A row per class, and per episode its support pictures, then its queries before and after adaptation.

    A wrong one has a notched corner, too, for whoever does not tell the colours apart.
    steps: inner steps between before and after.
    """
    ways, shots = episodes[0].support.shape[:2]
    columns = [shots, *2 * [episodes[0].queries.shape[1]]]
    height = 5.2 * ways / (sum(columns) + 1.0)
    figure = Figure(figsize=(5.2, len(episodes) * (height + 0.35) + 0.3))
    rows = figure.subplots(len(episodes), 3, squeeze=False, width_ratios=columns)
    stages = ("before", after_steps(steps))
    for episode, (first, *others) in zip(episodes, rows, strict=True):
        _show(first, framed(episode.support, np.full((ways, shots), BLUE)), "support")
        told = zip(others, episode.verdicts, episode.accuracies, stages, strict=True)
        for panel, verdicts, accuracy, stage in told:
            frames = np.array([GREY, GREEN, ORANGE])[verdicts]
            _show(panel, framed(episode.queries, frames, verdicts < 0), f"{stage}: {accuracy:.0%}")
    keys = {"adapted on": BLUE, "right": GREEN, "wrong": ORANGE}
    if any((episode.verdicts == 0).any() for episode in episodes):
        keys["undecided"] = GREY
    swatches = [Patch(color=color, label=label) for label, color in keys.items()]
    figure.legend(handles=swatches, loc="outside lower left", ncols=4, fontsize=9, labelcolor=MIDDLE)
    return figure


def _show(panel: Axes, tiles: np.ndarray, title: str) -> None:
    panel.set_axis_off()
    panel.imshow(tiles, interpolation="nearest")
    panel.set_title(title, fontsize=9, color=MIDDLE)
