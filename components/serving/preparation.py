"""A user's pictures as a model takes them: prepared as those that it was trained on."""

from torch import Tensor

from components.config.preparation import Preparation
from components.datasets.decoding import decode
from metasgd.errors import InputError


def prepared_picture(contents: bytes, name: str, preparation: Preparation | None) -> Tensor:
    """An encoded picture as float32 [channels, size, size] from 0 to 1.

    name: for messages. Raises InputError for what cannot be decoded, and for a model that takes no pictures.
    """
    if preparation is None:
        raise InputError(f"{name}: the model takes no pictures; expected numbers")
    picture = decode(contents, name, preparation.channels, preparation.size)
    return (255 - picture if preparation.inverted else picture) / 255
