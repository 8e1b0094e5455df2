"""Encoded pictures (PNG, JPEG) to tensors of one size: decoded by Pillow, resized by torchvision."""

import hashlib
import io
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, resize

from components.datasets.class_images import SPLITS, ClassImages
from metasgd.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")
MODES = {1: "L", 3: "RGB"}
FORMATS = ("PNG", "JPEG")
MOST_PIXELS = 64_000_000  # of one picture: a file of a few bytes could claim any number


def is_picture(name: str) -> bool:
    """True for names that end like PNG or JPEG."""
    return name.lower().endswith(SUFFIXES)


def decode(contents: bytes, name: str, channels: int, size: int, side: int | None = None) -> Tensor:
    """One picture [channels, size, size] (uint8), grey for 1 channel and colour for 3.

    name: stands in the message: the folder or archive and the file in it.
    side: height and width that the picture must have, where that is known.

    Raises:
        InputError: contents that are no picture, or one of another size.
    """
    picture = pil_to_tensor(_opened(contents, name).convert(MODES[channels]))
    height, width = picture.shape[1:]
    if side is not None and (height, width) != (side, side):
        raise InputError(f"{name} is {width}x{height} pixels; expected {side}x{side}")
    resized: Tensor = resize(picture, [size, size], antialias=True)
    return resized


def _opened(contents: bytes, name: str) -> Image.Image:
    """The whole picture, upright, in eight bits. Nothing is taken from its name."""
    with _decodable(contents, name):
        picture = Image.open(io.BytesIO(contents), formats=FORMATS)
    if picture.width * picture.height > MOST_PIXELS:
        size = f"{picture.width}x{picture.height}"
        raise InputError(f"{name} is {size} pixels; expected {MOST_PIXELS:,} in all at most")
    with _decodable(contents, name):
        picture.load()
        return _eight_bit(ImageOps.exif_transpose(picture))


@contextmanager
def _decodable(contents: bytes, name: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    # Pillow raises whatever its decoders meet.
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError, Warning) as error:
        raise InputError(f"{name} ({len(contents)} bytes) cannot be decoded; expected PNG or JPEG") from error


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Sixteen bits scaled to eight, and what is transparent on white."""
    if picture.mode.startswith("I"):
        return picture.point(lambda value: value / 256).convert("L")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture


def decode_pictures(
    files: Iterable[tuple[str, bytes]],
    classes: Mapping[str, Sequence[str]],
    pictures: Mapping[str, Sequence[str]],
    origin: str,
    channels: int,
    size: int,
    side: int | None = None,
) -> ClassImages:
    """All pictures, resized without regard to their proportions.

    side: height and width that every picture must have before, where the source says so.

    files: every picture's name and contents, read one at a time and in a fixed order.
    classes: split -> class names; pictures: class name -> its files.
    origin: the folder or archive, for messages. The fingerprint covers names and contents only.
    """
    names = [name for split in SPLITS for label in classes[split] for name in pictures[label]]
    place = {name: index for index, name in enumerate(names)}
    images = torch.empty(len(names), channels, size, size, dtype=torch.uint8)
    digest = hashlib.sha256()
    for name, contents in files:
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(contents).digest())
        images[place[name]] = decode(contents, f"{origin}/{name}", channels, size, side)
    return ClassImages(
        images=images,
        classes={split: list(classes[split]) for split in SPLITS},
        counts={split: [len(pictures[label]) for label in classes[split]] for split in SPLITS},
        fingerprint=digest.hexdigest(),
    )
