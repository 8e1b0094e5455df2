"""The default data set, which needs no download: characters of the fonts that matplotlib ships.

A class is a code point (a letter, a number or a mathematical sign), drawn twenty times over the
faces that have it. Classes that look alike, upright or turned, are left out but for the first.
"""

import hashlib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from components.config.sources import ImageSource
from components.datasets.class_images import ClassImages, join_classes, join_for_final, split_classes
from components.datasets.strokes import EXTENT, distance_field, draw, half_widths

VERSION = "1"  # changes whenever other pictures come out: part of the fingerprint
FACES = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "STIXGeneral",
    "STIXGeneralItalic",
)
CATEGORIES = ("Lu", "Ll", "Lo", "Nd", "No", "Nl", "Sm")
DRAWINGS = 20
# Strokes finer than this share of a character vanish in 28 pixels; broader ones are solid shapes.
STROKES = (0.05, 0.1)
# Likeness is the mean correlation of the ink and of its surroundings (how near each point is to the
# ink), 16x16 each: the ink sees a small dot, the surroundings see through a stroke's displacement.
# Above this begin the pairs that people misread when written by hand: turned E and 3, hooked I and I.
ALIKE, THUMBNAIL = 0.9, 16
NEAR = 0.05  # the surroundings fade at this distance, a share of a character's longer side


def load_glyphs(source: ImageSource, seed: int) -> ClassImages:
    """All classes, drawn at the source's size and split by its shares and the seed.

    A class's drawings depend on its code point alone: neither on the seed nor on other classes.
    """
    with _one_thread():
        characters = distinct_characters(candidates())
        pictures = {glyph_name(code): draw_class(fields, code, source) for code, fields in characters.items()}
    classes = split_classes(list(pictures), source.split, seed)
    classes = join_for_final(classes) if source.final else classes
    return join_classes(classes, pictures, _fingerprint(source))


def glyph_name(code: int) -> str:
    """For example `U+0041 LATIN CAPITAL LETTER A`."""
    return f"U+{code:04X} {unicodedata.name(chr(code), 'UNNAMED')}"


def draw_class(fields: Tensor, code: int, source: ImageSource) -> Tensor:
    """A class's drawings [20, channels, size, size] from its distance fields."""
    drawings = draw(fields, DRAWINGS, source.size, np.random.default_rng(code))
    return drawings.expand(-1, source.channels, -1, -1)


def candidates(codes: set[int] | None = None) -> dict[int, Tensor]:
    """Code points, letters first, each with its distance fields [faces, frame, frame].

    Left out: accented and other composed forms, which differ from their base by a small mark, and
    characters too fine or too solid to be strokes.
    codes: only these; all by default.
    """
    fonts = [FT2Font(str(path)) for path in font_files()]
    maps = [set(font.get_charmap()) for font in fonts]
    known = set().union(*maps)
    wanted = [code for code in known if _is_basic(code) and (codes is None or code in codes)]
    found = {}
    for code in sorted(wanted, key=_letters_first):
        drawn = [distance_field(font, code) for font, has in zip(fonts, maps, strict=True) if code in has]
        fields = [field for field in drawn if field is not None]
        if fields and STROKES[0] <= half_widths(torch.stack(fields)).mean() <= STROKES[1]:
            found[code] = torch.stack(fields)
    return found


def distinct_characters(characters: dict[int, Tensor]) -> dict[int, Tensor]:
    """Those which in no face and no quarter turn look like an earlier one in any of its faces."""
    kept: dict[int, Tensor] = {}
    # Double precision: which side of ALIKE a pair falls on must not depend on the order of additions.
    seen = torch.zeros(0, 2 * THUMBNAIL**2, dtype=torch.float64)
    for code, fields in characters.items():
        thumbnails = _thumbnails(fields)
        turned = torch.cat([_unit_vectors(thumbnails.rot90(turn, (2, 3))) for turn in range(4)])
        if not (turned @ seen.T > ALIKE).any():
            kept[code] = fields
            seen = torch.cat([seen, _unit_vectors(thumbnails)])
    return kept


def font_files() -> list[Path]:
    """The faces' files, in the order in which drawings choose among them."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [folder / f"{face}.ttf" for face in FACES]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Thousands of small operations: on a busy machine threads wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _is_basic(code: int) -> bool:
    character = chr(code)
    composed = unicodedata.normalize("NFKD", character) != character
    return unicodedata.category(character) in CATEGORIES and not composed


def _letters_first(code: int) -> tuple[int, int]:
    return CATEGORIES.index(unicodedata.category(chr(code))), code


def _thumbnails(fields: Tensor) -> Tensor:
    """Ink and its surroundings [faces, 2, 16, 16], from 0 to 1."""
    fields = fields.double()
    level = (STROKES[0] - half_widths(fields))[:, None, None].clamp(-0.02, 0.02)
    ink = ((fields + level) * EXTENT + 0.5).clamp(0, 1)
    surroundings = torch.exp(fields.clamp(max=0) / NEAR)
    return adaptive_avg_pool2d(torch.stack([ink, surroundings], dim=1), THUMBNAIL)


def _unit_vectors(thumbnails: Tensor) -> Tensor:
    """Vectors [faces, 512] whose inner product is the mean of both correlations."""
    values = thumbnails.flatten(2)
    return normalize(normalize(values - values.mean(2, keepdim=True), dim=2).flatten(1))


def _fingerprint(source: ImageSource) -> str:
    digest = hashlib.sha256(f"glyphs {VERSION} {source.size} {source.channels}".encode())
    for path in font_files():
        digest.update(path.read_bytes())
    return digest.hexdigest()
