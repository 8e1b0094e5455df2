"""One style for all figures, and saving them with equal bytes for equal figures."""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
from matplotlib import style
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from metasgd.errors import InputError

# Okabe and Ito's colours stay apart for colour-blind readers.
BLUE, ORANGE, GREY, LIGHT, INK = "#0072B2", "#D55E00", "#9AA3AD", "#DDE2E7", "#2B323A"
GREEN = "#009E73"
MIDDLE = "#7A838C"  # words on light and on dark
STYLE = {
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E9ED",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    # Element ids in an SVG are random without a salt of their own.
    "svg.hashsalt": "metasgd",
}
TINTS = 4  # of each colour in an animation
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in STYLE, leaving the global rcParams as they were."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: Path) -> None:
    """Write the figure as .svg, or as .png with two pixels per point of the page.

    A .svg is white: whoever shows it on a dark page can turn its colours round. A .png shows pictures, which
    nobody may turn round, so its ground is transparent.
    Raises InputError for any other suffix.
    """
    undated: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".png": {"Software": None}}
    if path.suffix not in undated:
        raise InputError(f"{path}: suffix is {path.suffix!r}; expected .svg or .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    with style.context(["default", STYLE]):
        ground = "white" if path.suffix == ".svg" else "none"
        figure.savefig(path, dpi=200, metadata=undated[path.suffix], facecolor=ground)


def save_animation(pictures: Iterable[tuple[np.ndarray, int]], path: Path) -> None:
    """Write a GIF that loops, in tints of the colours above.

    pictures: the frames, each uint8 [height, width, 3], and the milliseconds that it stays.
    """
    palette = _tints()
    frames, pauses = [], []
    for picture, pause in pictures:
        # With one palette for all, the file holds only what changes from picture to picture.
        frames.append(Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE))
        pauses.append(pause)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=pauses, loop=0)


def _tints() -> Image.Image:
    """A picture whose palette runs from white to each colour."""
    shares = np.linspace(0, 1, TINTS + 1)[1:, None]
    tints = [1 - shares * (1 - np.array(to_rgb(color))) for color in (BLUE, ORANGE, GREY, INK)]
    image = Image.new("P", (1, 1))
    image.putpalette([255, 255, 255, *np.rint(255 * np.concatenate(tints)).astype(int).flatten().tolist()])
    return image
