"""Episodes as they are dealt: support pictures framed in one colour, query pictures in another."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from components.plots.style import BLUE, LIGHT, styled


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


def episode_sheet(episode: np.ndarray, shots: int, support: str, query: str) -> np.ndarray:
    """A row per class: its support pictures, a gap, its query pictures.

    episode: uint8 [ways, columns, channels, height, width], channels 1 or 3; the first `shots`
        columns are support pictures.
    support, query: colours of the frames, "#RRGGBB".
    Returns uint8 [rows of pixels, columns of pixels, 3].
    """
    left, right = _framed(episode[:, :shots], support), _framed(episode[:, shots:], query)
    gap = np.full((len(left), episode.shape[-1] // 4, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def _framed(pictures: np.ndarray, color: str) -> np.ndarray:
    """Pictures [rows, columns, channels, height, width], each on a tile of this colour."""
    rows, columns, _, height, width = pictures.shape
    edge = max(1, width // 14)
    tiles = np.empty((rows, columns, height + 2 * edge, width + 2 * edge, 3), np.uint8)
    tiles[:] = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    tiles[:, :, edge:-edge, edge:-edge] = np.moveaxis(pictures, 2, -1)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * tiles.shape[2], columns * tiles.shape[3], 3)
