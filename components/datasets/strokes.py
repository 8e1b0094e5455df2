"""Printed characters turned into drawings: outline -> distance field -> distorted strokes.

The field holds each point's distance to the outline, so a pen of another width is another level of
the same field, and a bent character is the same field read at bent coordinates.
"""

import numpy as np
import torch
from matplotlib.ft2font import FT2Font, LoadFlags
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

EXTENT, MARGIN = 64, 16  # pixels of a character's longer side in its field, and around it
FRAME = EXTENT + 2 * MARGIN
PENS = (0.03, 0.06)  # half-widths of a pen, as shares of the character's longer side
THINNING = 0.4  # at most this share of a printed stroke goes: hairlines must stay whole
TURN, SHEAR, STRETCH = 0.2, 0.25, 0.2  # radians, slant, logarithm of height/width: as hands differ
SIZES = (0.58, 0.82)  # a drawing's longer side, as a share of the picture's
BEND, PRESSURE = 0.09, 0.012  # greatest changes: shares of half the picture, of the longer side
EDGE = 0.07  # stays free around a drawing, as a share of half the picture: one pixel of 28
KNOTS = 4  # bend and pressure are smooth between this many random values each way


def distance_field(font: FT2Font, code: int) -> Tensor | None:
    """A character's signed distances [FRAME, FRAME], positive inside; None for a blank one.

    The character is centred, its longer side is EXTENT pixels whatever its size in the font, and
    distances are shares of that side.
    """
    size = float(EXTENT)
    for _ in range(2):  # the second time at the size that makes the longer side EXTENT pixels
        font.set_size(size, 72)
        left, bottom, right, top = font.load_char(code, flags=LoadFlags.NO_HINTING).bbox
        if right <= left or top <= bottom:
            return None
        size *= EXTENT * 64 / max(right - left, top - bottom)
    font.set_text(chr(code), 0, flags=LoadFlags.NO_HINTING)
    font.draw_glyphs_to_bitmap()
    ink = _centred(np.asarray(font.get_image()) > 127)
    distances = distance_transform_edt(ink) - distance_transform_edt(~ink)
    return torch.from_numpy(distances / EXTENT).float()


def _centred(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    above, before = ((FRAME - side) // 2 for side in ink.shape)
    below, after = FRAME - ink.shape[0] - above, FRAME - ink.shape[1] - before
    return np.pad(ink, ((above, below), (before, after)))


def half_widths(fields: Tensor) -> Tensor:
    """The strokes' half-widths [fields]: twice the mean distance inside, which is exact for a long bar."""
    inside = fields.clamp(min=0)
    return 2 * inside.sum((1, 2)) / (inside > 0).sum((1, 2))


def draw(fields: Tensor, drawings: int, size: int, generator: np.random.Generator) -> Tensor:
    """Random drawings [drawings, 1, size, size] (uint8, bright on dark) of one character.

    fields: its distance fields [faces, FRAME, FRAME]; every drawing takes one face, slant, size,
        place, pen, and a smooth bend and pressure of the stroke.
    """
    fields = fields[generator.integers(len(fields), size=drawings)]
    spread, places = _placed(fields, drawings, generator)
    scales = torch.linalg.det(spread).sqrt()
    smooth = _smooth_noise(drawings, size, generator)
    bend, pressure = BEND * smooth[:, :2], PRESSURE * smooth[:, 2]
    coordinates = _grid(size) + bend.permute(0, 2, 3, 1) - places[:, None, None]
    coordinates = torch.einsum("dij,dyxj->dyxi", torch.linalg.inv(spread), coordinates) * EXTENT / FRAME
    distances = grid_sample(fields[:, None], coordinates, padding_mode="border", align_corners=False)[:, 0]
    level = pressure + _pens(fields, generator.uniform(*PENS, drawings))[:, None, None]
    ink = (0.5 + (distances + level) * scales[:, None, None] * size).clamp(0, 1)
    pictures: Tensor = (ink * 255).round().to(torch.uint8)
    return pictures[:, None]


def _pens(fields: Tensor, pens: NDArray[np.float64]) -> Tensor:
    """How much wider [drawings] each stroke becomes, in shares of the longer side."""
    printed = half_widths(fields)
    return torch.maximum(torch.from_numpy(pens).float() - printed, -THINNING * printed)


def _placed(fields: Tensor, drawings: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Matrices [drawings, 2, 2] and shifts [drawings, 2] that keep each character inside its picture."""
    turn = generator.uniform(-TURN, TURN, drawings)
    shear = generator.uniform(-SHEAR, SHEAR, drawings)
    stretch = np.exp(generator.uniform(-STRETCH, STRETCH, drawings) / 2)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    slant = np.array([[1 / stretch, shear * stretch], [0 * stretch, stretch]])
    matrices = np.einsum("ijd,jkd->dik", rotation, slant)
    reach = np.einsum("dij,dj->di", np.abs(matrices), _extents(fields))
    scales = generator.uniform(*SIZES, drawings) / reach.max(1)
    room = np.clip(1 - EDGE - BEND - reach * scales[:, None], 0, None)
    shifts = room * generator.uniform(-1, 1, (drawings, 2))
    return torch.from_numpy(matrices * scales[:, None, None]).float(), torch.from_numpy(shifts).float()


def _extents(fields: Tensor) -> NDArray[np.float64]:
    """Width and height [drawings, 2] of the ink, as shares of the longer side."""
    lengths = [_ink_length((fields > 0).any(axis).numpy()) for axis in (1, 2)]
    shares: NDArray[np.float64] = np.stack(lengths, axis=1) / EXTENT
    return shares


def _ink_length(lines: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From the first to the last True of each row, gaps included."""
    first, last = lines.argmax(1), lines.shape[1] - lines[:, ::-1].argmax(1)
    lengths: NDArray[np.int64] = last - first
    return lengths


def _smooth_noise(drawings: int, size: int, generator: np.random.Generator) -> Tensor:
    knots = torch.from_numpy(generator.uniform(-1, 1, (drawings, 3, KNOTS, KNOTS))).float()
    return interpolate(knots, size=(size, size), mode="bilinear", align_corners=True)


def _grid(size: int) -> Tensor:
    """Pixel centres [size, size, 2] as (x, y) from -1 to 1."""
    centres = (torch.arange(size) + 0.5) * 2 / size - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
