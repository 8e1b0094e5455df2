"""Where the pictures of an experiment come from, as params.yaml says it."""

from typing import Literal

from pydantic.dataclasses import dataclass

from components.config.parsing import STRICT
from components.config.preparation import Preparation
from components.config.settings import Count

GENERATED = ("glyphs",)  # sources without files


@dataclass(frozen=True, config=STRICT)
class ImageSource:
    """Where the pictures come from and how their classes are split.

    path: the archive's or folder's place; ignored by sources that are generated.
    channels: 1 for grey, 3 for colour.
    rotations: turn the meta-training classes by 90, 180 and 270 degrees as new classes.
    rotate_test: do so for validation and test classes too.
    split: shares of train / validation / test classes, drawn by the seed, where the source has
        no split of its own.
    final: train on the joined train and validation classes, without selecting a checkpoint.
    """

    name: Literal["glyphs", "omniglot", "omniglot-official", "miniimagenet", "folder"]
    path: str
    size: Count
    channels: Literal[1, 3]
    rotations: bool
    rotate_test: bool
    split: tuple[float, float, float]
    final: bool

    @property
    def preparation(self) -> Preparation:
        drawn = self.name in ("glyphs", "omniglot", "omniglot-official")
        return Preparation(self.channels, self.size, inverted=drawn)
