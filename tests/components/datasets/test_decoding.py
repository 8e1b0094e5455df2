"""Every mode of a picture has one stated conversion, and whatever else comes is refused in one line."""

import io
import struct
import zlib
from typing import Any

import pytest
import torch
from PIL import Image

from components.datasets.decoding import MOST_PIXELS, decode
from metasgd.errors import InputError


def encoded(picture: Image.Image, suffix: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, suffix, **options)
    return file.getvalue()


def flat(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (6, 6), colour)


def palette(transparency: int | None = None) -> bytes:
    """All pixels have entry 1 of the palette, (200, 100, 50)."""
    picture = flat("P", 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    return encoded(picture, **({} if transparency is None else {"transparency": transparency}))


# What is decoded, and the colour and the shade that it becomes. The shade is ITU-R 601-2's luminance.
ORANGE = (200, 100, 50)
MODES = {
    "1, set": (encoded(flat("1", 1)), (255, 255, 255), 255),
    "1, unset": (encoded(flat("1", 0)), (0, 0, 0), 0),
    "L": (encoded(flat("L", 77)), (77, 77, 77), 77),
    "LA, opaque": (encoded(flat("LA", (77, 255))), (77, 77, 77), 77),
    "LA, half": (encoded(flat("LA", (77, 51))), (219, 219, 219), 219),
    "LA, transparent": (encoded(flat("LA", (77, 0))), (255, 255, 255), 255),
    "P": (palette(), ORANGE, 124),
    "P, transparent": (palette(transparency=1), (255, 255, 255), 255),
    "P, another entry transparent": (palette(transparency=0), ORANGE, 124),
    "RGB": (encoded(flat("RGB", ORANGE)), ORANGE, 124),
    "RGB, a transparent colour": (encoded(flat("RGB", ORANGE), transparency=ORANGE), (255, 255, 255), 255),
    "RGBA, opaque": (encoded(flat("RGBA", (*ORANGE, 255))), ORANGE, 124),
    "RGBA, transparent": (encoded(flat("RGBA", (0, 0, 0, 0))), (255, 255, 255), 255),
    "I;16": (encoded(flat("I;16", 77 * 257)), (77, 77, 77), 77),
    "I;16, most": (encoded(flat("I;16", 65535)), (255, 255, 255), 255),
    "JPEG, L": (encoded(flat("L", 77), "JPEG", quality=95), (77, 77, 77), 77),
    "JPEG, CMYK": (encoded(flat("CMYK", (0, 0, 0, 178)), "JPEG", quality=95), (77, 77, 77), 77),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_colour_and_grey(mode: str) -> None:
    """Eight bits; sixteen are scaled; what is transparent lies on white."""
    contents, colour, shade = MODES[mode]
    red_green_blue = decode(contents, "x.png", channels=3, size=4)
    grey = decode(contents, "x.png", channels=1, size=4)
    assert (red_green_blue.dtype, grey.dtype) == (torch.uint8, torch.uint8)
    assert (red_green_blue.shape, grey.shape) == ((3, 4, 4), (1, 4, 4))
    expected = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    assert torch.equal(red_green_blue, expected.expand(3, 4, 4))
    assert (grey == shade).all()


def test_drawings_on_a_transparent_ground_stay_visible() -> None:
    """Black strokes, as drawing programs export them."""
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.putpixel((1, 2), (0, 0, 0, 255))
    grey = decode(encoded(picture), "x.png", channels=1, size=4)[0]
    assert grey[2, 1] == 0
    assert int((grey == 255).sum()) == 15


def test_pictures_stand_upright() -> None:
    """As the camera's orientation says: the upper half of what is shown is white."""
    picture = Image.new("L", (16, 16), 0)
    picture.paste(255, (0, 0, 8, 16))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise to be shown
    grey = decode(encoded(picture, "JPEG", exif=exif, quality=95), "x.jpg", channels=1, size=16)[0]
    assert grey[:7].min() > 240
    assert grey[9:].max() < 15


def chunk(name: bytes, contents: bytes) -> bytes:
    check = zlib.crc32(name + contents)
    return struct.pack(">I", len(contents)) + name + contents + struct.pack(">I", check)


def bomb(side: int) -> bytes:
    """A PNG of few bytes that claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def animation(suffix: str) -> bytes:
    return encoded(flat("P", 0), suffix, save_all=True, append_images=[flat("P", 1)])


def flipped(contents: bytes) -> bytes:
    middle = len(contents) // 2
    return contents[:middle] + bytes([contents[middle] ^ 255]) + contents[middle + 1 :]


NOISE = Image.effect_noise((64, 64), 80)
NO_PICTURES = {
    "nothing": b"",
    "text": b"<html>no picture here</html>",
    "an animated GIF": animation("GIF"),
    "a GIF": encoded(flat("P", 0), "GIF"),
    "a TIFF of floats": encoded(flat("F", 0.5), "TIFF"),
    "a WebP": encoded(flat("RGB", ORANGE), "WEBP"),
    "an icon": encoded(flat("RGB", ORANGE), "ICO"),
    "a PNG cut short": encoded(NOISE)[:300],
    "a PNG with a flipped byte": flipped(encoded(NOISE)),
    "a JPEG cut short": encoded(NOISE, "JPEG")[:300],
    "a PNG without pixels": bomb(1)[:40],
    "a million times a million": bomb(1_000_000),
}


@pytest.mark.parametrize("what", NO_PICTURES)
def test_what_is_no_whole_picture_is_refused(what: str) -> None:
    """By its first bytes, whatever its name ends with; the line has the name and the size."""
    contents = NO_PICTURES[what]
    with pytest.raises(InputError) as caught:
        decode(contents, "birds/a/1.png", channels=3, size=4)
    assert (
        str(caught.value) == f"birds/a/1.png ({len(contents)} bytes) cannot be decoded; expected PNG or JPEG"
    )


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(
        InputError, match=f"x.png is 9000x9000 pixels; expected {MOST_PIXELS:,} in all at most"
    ):
        decode(bomb(9000), "x.png", channels=1, size=4)
