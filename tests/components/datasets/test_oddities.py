"""What is odd about pictures that decode well is said in words, with its number and first case."""

import pytest
import torch
from torch import Tensor

from components.datasets.class_images import join_classes
from components.datasets.oddities import oddities

FLAT = torch.full((10, 1, 4, 4), 255).byte()


def drawn(count: int, seed: int) -> Tensor:
    """Pictures that are all different: uint8 [count, 1, 4, 4]."""
    return torch.randint(256, (count, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).byte()


def found(**changed: Tensor) -> list[str]:
    """The oddities of five classes of ten pictures, but for those that are given."""
    pictures = {name: drawn(10, seed) for seed, name in enumerate("abcde")} | changed
    classes = {"train": ["a", "b", "c"], "validation": ["d"], "test": ["e"]}
    return oddities(join_classes(classes, pictures, "fingerprint"))


def test_ordinary_pictures_are_not_odd() -> None:
    """No word where there is nothing to say."""
    assert found() == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"b": FLAT}, "10 pictures are of one colour throughout (the first in 'b')"),
        (
            {"c": torch.cat([drawn(9, 2), FLAT[:1]])},
            "1 picture is of one colour throughout (in 'c')",
        ),
        ({"b": torch.cat([drawn(9, 1), drawn(1, 1)])}, "1 picture comes more than once in a class (in 'b')"),
        ({"b": drawn(10, 0)}, "10 pictures are in more than one class (the first in 'a' and 'b')"),
        ({"c": torch.cat([drawn(9, 2), drawn(1, 3)])},
         "1 picture is in more than one class (in 'c' and 'd')"),
        (
            {"e": torch.cat([drawn(9, 4), drawn(1, 0)])},
            "1 picture is in test classes and in others, too (in 'a' and 'e')",
        ),
        ({"d": drawn(1, 3)}, "1 class has less than a fifth of the usual 10 pictures ('d' has 1)"),
        (
            {"a": drawn(1, 0), "d": drawn(1, 3)},
            "2 classes have less than a fifth of the usual 10 pictures ('a' has 1)",
        ),
    ],
)  # fmt: skip
def test_each_oddity_is_counted_and_shown(changed: dict[str, Tensor], words: str) -> None:
    """A picture that comes twice is said once, at its worst; flat ones do not count as repeated."""
    assert found(**changed) == [words]


def test_all_oddities_are_said_together() -> None:
    """One does not hide the other."""
    assert len(found(b=FLAT, d=drawn(1, 3), e=drawn(10, 0))) == 3


def test_pictures_in_colour_are_flat_only_where_every_pixel_is_the_same() -> None:
    """A picture of one hue, whose channels differ, is of one colour, too; one with a second pixel is not."""
    red = torch.tensor([200, 10, 10]).byte().view(1, 3, 1, 1).expand(2, 3, 4, 4).clone()
    red[1, :, 0, 0] = 0
    classes = {"train": ["a"], "validation": [], "test": []}
    assert oddities(join_classes(classes, {"a": red}, "")) == [
        "1 picture is of one colour throughout (in 'a')"
    ]
