"""Encoded pictures (PNG, JPEG) to tensors of one size, by torchvision."""

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2.functional import resize, to_dtype

from components.datasets.class_images import SPLITS, ClassImages
from metasgd.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")
MODES = {1: ImageReadMode.GRAY, 3: ImageReadMode.RGB}


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
    encoded = torch.frombuffer(bytearray(contents), dtype=torch.uint8) if contents else torch.empty(0)
    try:
        with warnings.catch_warnings():
            # Deprecated in favour of TorchCodec, which needs FFmpeg; the pinned torchvision has it.
            warnings.simplefilter("ignore", DeprecationWarning)
            picture = decode_image(encoded, MODES[channels], apply_exif_orientation=True)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{name} ({len(contents)} bytes) cannot be decoded; expected PNG or JPEG") from error
    height, width = picture.shape[1:]
    if side is not None and (height, width) != (side, side):
        raise InputError(f"{name} is {width}x{height} pixels; expected {side}x{side}")
    eight_bit = to_dtype(picture, torch.uint8, scale=True)
    resized: Tensor = resize(eight_bit, [size, size], antialias=True)
    return resized


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
