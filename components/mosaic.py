"""Episodes laid out as one RGB array: support pictures framed in one colour, queries in another."""

import numpy as np


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
