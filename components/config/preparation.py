"""How pictures become what a network sees."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preparation:
    """What becomes of a picture before a network sees it; a checkpoint keeps it, and serving repeats it.

    channels: 1 for grey, 3 for colour. size: of both sides. inverted: light strokes on a dark ground, where
    pictures are dark on light. resized, scaled: in words; a checkpoint that says others is refused.
    """

    channels: int
    size: int
    inverted: bool
    resized: Literal["bilinear, antialiased, without regard to proportions"] = (
        "bilinear, antialiased, without regard to proportions"
    )
    scaled: Literal["from 0 to 1"] = "from 0 to 1"
