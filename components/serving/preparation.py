"""A user's pictures as a model takes them: by the preparation of the pictures that it was trained on."""

from torch import Tensor

from components.config.settings import TaskSettings
from components.datasets.decoding import decode
from components.kinds.images import ImageTasks
from metasgd.errors import InputError


def prepared_picture(contents: bytes, name: str, tasks: TaskSettings) -> Tensor:
    """An encoded picture as float32 [channels, size, size] from 0 to 1.

    name: for messages. Raises InputError for what cannot be decoded, and for a model that takes no pictures.
    """
    if not isinstance(tasks, ImageTasks):
        raise InputError(f"{name}: the model takes no pictures; its tasks are of kind {tasks.kind!r}")
    source = tasks.source
    picture = decode(contents, name, source.channels, source.size)
    return (255 - picture if source.inverted else picture) / 255
