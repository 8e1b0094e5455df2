"""Episodes as they are dealt: support pictures framed in one colour, query pictures in another."""

import numpy as np
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from components.plots.style import BLUE, GREY, MIDDLE, styled


@styled
def contact_sheet(images: np.ndarray, shots: int) -> Figure:
    """Episodes as they are dealt: a row per class, its framed support pictures, then its queries.

    images: uint8 [tasks, ways, columns, channels, height, width]; the first `shots` columns are
        support pictures, the others query pictures.
    """
    tasks, columns = len(images), images.shape[2]
    across = min(tasks, max(1, 16 // columns))
    sheets = [episode_sheet(episode, shots, BLUE, GREY) for episode in images]
    height, width = sheets[0].shape[:2]
    down = -(-tasks // across)
    figure = Figure(figsize=(7.6, down * (7.6 / across * height / width + 0.35)))
    panels = figure.subplots(down, across, squeeze=False).flat
    for number, panel in enumerate(panels):
        panel.set_axis_off()
        if number < tasks:
            panel.imshow(sheets[number], interpolation="nearest")
            panel.set_title(f"Episode {number + 1}", fontsize=9, color=MIDDLE)
    swatches = [Patch(color=BLUE, label="support: adapted on"), Patch(color=GREY, label="query: scored on")]
    figure.legend(handles=swatches, loc="outside lower left", ncols=2, fontsize=9, labelcolor=MIDDLE)
    return figure


def episode_sheet(episode: np.ndarray, shots: int, support: str, query: str) -> np.ndarray:
    """A row per class: its support pictures, a gap, its query pictures.

    episode: uint8 [ways, columns, channels, height, width], channels 1 or 3; the first `shots`
        columns are support pictures.
    support, query: colours of the frames, "#RRGGBB".
    Returns uint8 [rows of pixels, columns of pixels, 4], transparent in the gap.
    """
    parts = (episode[:, :shots], support), (episode[:, shots:], query)
    left, right = (framed(pictures, np.full(pictures.shape[:2], color)) for pictures, color in parts)
    gap = np.zeros((len(left), episode.shape[-1] // 4, 4), np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def framed(pictures: np.ndarray, colors: np.ndarray, notched: np.ndarray | None = None) -> np.ndarray:
    """Every picture on a tile of its colour.

    pictures: uint8 [rows, columns, channels, height, width]; colors: "#RRGGBB" [rows, columns].
    notched: bool [rows, columns], whose tiles cover a corner of their pictures.
    Returns uint8 [rows of pixels, columns of pixels, 4], opaque.
    """
    rows, columns, _, height, width = pictures.shape
    edge = max(1, width // 14)
    grounds = (255 * to_rgba_array(colors.ravel())).round().astype(np.uint8).reshape(rows, columns, 1, 1, 4)
    tiles = np.tile(grounds, (1, 1, height + 2 * edge, width + 2 * edge, 1))
    tiles[:, :, edge:-edge, edge:-edge, :3] = np.moveaxis(pictures, 2, -1)
    if notched is not None:
        corner = max(2, width // 3)
        covered = np.triu(np.ones((corner, corner), bool))  # the upper right triangle
        part = tiles[:, :, edge : edge + corner, -edge - corner : -edge]
        part[...] = np.where(notched[..., None, None, None] & covered[..., None], grounds, part)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * tiles.shape[2], columns * tiles.shape[3], 4)
