"""README's picture: a curve, pictures and a path, before adaptation and after one step; light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from components.plots.planes import Journeys, broken, draw_plane
from components.plots.style import BLUE, GREY, INK, LIGHT, ORANGE, STYLE

PAPER = "#ffffff"
DARK = {PAPER: "#161b22", INK: "#e2e5e8", BLUE: "#5db3e6", ORANGE: "#f0914a", LIGHT: "#333a42"}
# Text stays text: small, and in the reader's fonts. The grid and the frames of planes would be too much here.
SMALL = {"svg.fonttype": "none", "font.family": "sans-serif", "axes.grid": False, "axes.titlesize": 10}
REACH, ACTIONS, ROUTES = 0.75, 40, 5  # half the width of the plane; drawn of a trajectory; trajectories
TILE = 1.25  # from a picture to the next


@dataclass(frozen=True)
class Guesses:
    """A task of one example per class. shown, asked: [ways, height, width], 0 to 1; ink is 1.

    right: bool [2, ways], of the asked pictures before adaptation and after it.
    """

    shown: np.ndarray
    asked: np.ndarray
    right: np.ndarray


def one_step(curve: Mapping[str, Any], guesses: Guesses, path: Journeys) -> str:
    """The picture as SVG whose colours follow the reader's scheme.

    curve: as a panel of `components.plots.sine_fits`.
    """
    with style.context(["default", STYLE, SMALL]):
        figure = Figure(figsize=(9.6, 2.9), facecolor=PAPER)
        panels = figure.subplots(1, 3, width_ratios=[1.1, 1.5, 0.95])
        _draw_curve(panels[0], curve)
        _draw_guesses(panels[1], guesses)
        _draw_path(panels[2], path)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return themed(buffer.getvalue().decode())


def themed(svg: str) -> str:
    """The same with variables for colours, and their values for light and for dark schemes."""
    names = {color.lower(): f"--c{number}" for number, color in enumerate(DARK)}
    for color, name in names.items():
        svg = svg.replace(color, f"var({name})")
    light = ";".join(f"{name}:{color}" for color, name in names.items())
    dark = ";".join(f"{names[color.lower()]}:{other}" for color, other in DARK.items())
    rule = f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return svg.replace('<style type="text/css">', f'<style type="text/css">{rule}', 1)


def _draw_curve(panel: Axes, curve: Mapping[str, Any]) -> None:
    x = curve["query_x"]
    panel.plot(x, curve["truth"], color=GREY, linewidth=4.5, alpha=0.55, label="the curve")
    panel.plot(x, curve["before"], color=ORANGE, linewidth=1.4, linestyle=(0, (4, 2.5)), label="before")
    panel.plot(x, curve["after"], color=BLUE, linewidth=2.0, label="after one step")
    panel.plot(curve["support_x"], curve["support_y"], "o", color=INK, markersize=6,
               markeredgecolor=PAPER, zorder=4, label="shown")  # fmt: skip
    panel.set_title(f"A curve, of which {len(curve['support_x'])} points are shown")
    panel.spines[:].set_visible(False)
    panel.set(xticks=[], yticks=[])
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, fontsize=8.5, handlelength=1.3,
                 columnspacing=1.0)  # fmt: skip


def _draw_guesses(panel: Axes, guesses: Guesses) -> None:
    ways = len(guesses.shown)
    panel.set_title(f"{ways} classes, of which one picture each is shown")
    counts = [int(right.sum()) for right in guesses.right]
    rows = [
        ("shown", guesses.shown, [LIGHT] * ways),
        *(
            (f"{when}:\n{count} of {ways} right", guesses.asked, [BLUE if one else ORANGE for one in right])
            for when, right, count in zip(("before", "after"), guesses.right, counts, strict=True)
        ),
    ]
    for row, (label, pictures, colors) in enumerate(rows):
        panel.text(-0.2, -row * TILE + 0.5, label, ha="right", va="center", fontsize=9)
        _draw_row(panel, -row * TILE, pictures, colors)
    panel.set(xlim=(-1.9, ways * TILE), ylim=(-2.1 * TILE, 1.1), aspect="equal")
    panel.set_axis_off()


def _draw_row(panel: Axes, y: float, pictures: np.ndarray, colors: Sequence[str]) -> None:
    for place, (picture, color) in enumerate(zip(pictures, colors, strict=True)):
        x = place * TILE
        # Ink in one colour that both schemes bear, on nothing.
        inked = np.concatenate([np.full((*picture.shape, 3), to_rgb("#7d8791")), picture[..., None]], axis=-1)
        panel.imshow(inked, extent=(x, x + 1, y, y + 1), interpolation="nearest")
        panel.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=color, linewidth=1.8))


def _draw_path(panel: Axes, path: Journeys) -> None:
    draw_plane(panel, path, 0, REACH)
    for stage, color, width in ((0, ORANGE, 0.6), (1, BLUE, 1.1)):
        routes = [path.route(stage, 0, number)[:ACTIONS] for number in range(ROUTES)]
        panel.plot(*broken(routes).T, color=color, linewidth=width, alpha=0.8)
    panel.set_title("A goal that is not shown")
    panel.spines[:].set_visible(False)
    panel.set(xticks=[], yticks=[])
