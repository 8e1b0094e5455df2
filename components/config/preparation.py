"""How pictures become what a network sees."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preparation:
    """What becomes of a picture before a network sees it; a checkpoint keeps it, and serving repeats it.

    channels: 1 for grey, 3 for colour. size: of both sides. inverted: light strokes on a dark ground, where
    pictures are dark on light. resized, scaled: in words, the same for all sources.
    """

    channels: int
    size: int
    inverted: bool
    resized: str = "bilinear, antialiased, without regard to proportions"
    scaled: str = "from 0 to 1"
