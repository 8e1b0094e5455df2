"""What is odd about pictures that decode well: no error, but nothing that scores should hide."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from statistics import median
from typing import NamedTuple

from torch import Tensor

from components.datasets.class_images import SPLITS, ClassImages

FEW = 5  # a class with less than this part of the median class's pictures is nearly empty


class _Place(NamedTuple):
    """Whose picture it is."""

    split: str
    label: str


def oddities(pictures: ClassImages) -> list[str]:
    """In words, each with its number and first case: none, for most data.

    Flat pictures; the same picture in training (or validation) and test classes, in two classes, or twice in
    one; classes that are nearly empty; hidden folders. Pictures are compared as they were decoded.
    """
    places = [
        _Place(split, label)
        for split in SPLITS
        for label, count in zip(pictures.classes[split], pictures.counts[split], strict=True)
        for _ in range(count)
    ]
    flat = _flat(pictures.images)
    of_one_colour = [[place] for place, is_flat in zip(places, flat, strict=True) if is_flat]
    found = [_counted(of_one_colour, "is", "are", "of one colour throughout")]
    found += _repeated(_same(pictures.images, places, flat))
    found += [_nearly_empty(Counter(places)), _hidden(pictures.left_out)]
    return [line for line in found if line]


def _flat(images: Tensor) -> list[bool]:
    pixels = images.flatten(2)  # [images, channels, pixels]
    return [bool((picture == picture[:, :1]).all()) for picture in pixels]


def _same(images: Tensor, places: Sequence[_Place], flat: Sequence[bool]) -> Iterator[list[_Place]]:
    """The places of every picture that comes more than once; flat ones are another matter."""
    groups: dict[bytes, list[_Place]] = defaultdict(list)
    for image, place, is_flat in zip(images.numpy(), places, flat, strict=True):
        if not is_flat:
            groups[blake2b(image.tobytes(), digest_size=16).digest()].append(place)
    return (group for group in groups.values() if len(group) > 1)


def _repeated(groups: Iterator[list[_Place]]) -> list[str]:
    leaked, shared, doubled = [], [], []
    for group in groups:
        splits = {place.split for place in group}
        if "test" in splits and len(splits) > 1:
            leaked.append(group)
        elif len(set(group)) > 1:
            shared.append(group)
        else:
            doubled.append(group)
    return [
        _counted(leaked, "is", "are", "in test classes and in others, too"),
        _counted(shared, "is", "are", "in more than one class"),
        _counted(doubled, "comes", "come", "more than once in a class"),
    ]


def _counted(groups: Sequence[Sequence[_Place]], one: str, many: str, words: str) -> str:
    """groups: the places of every such picture."""
    if not groups:
        return ""
    number = f"{len(groups)} picture{'' if len(groups) == 1 else 's'} {one if len(groups) == 1 else many}"
    labels = " and ".join(repr(label) for label in dict.fromkeys(place.label for place in groups[0]))
    return f"{number} {words} ({'in' if len(groups) == 1 else 'the first in'} {labels})"


def _nearly_empty(sizes: Mapping[_Place, int]) -> str:
    usual = median(sizes.values())
    few = sorted((count, place.label) for place, count in sizes.items() if count * FEW < usual)
    if not few:
        return ""
    count, label = few[0]
    have = "class has" if len(few) == 1 else "classes have"
    return f"{len(few)} {have} less than a fifth of the usual {usual:g} pictures ({label!r} has {count})"


def _hidden(folders: Sequence[str]) -> str:
    if not folders:
        return ""
    are = "folder is" if len(folders) == 1 else "folders are"
    return f"{len(folders)} hidden {are} left out ({folders[0]!r})"
