"""What every picture source gives: pictures by class, classes by split, and where they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metasgd.errors import InputError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ClassImages:
    """Pictures one class after the other, in the order train, validation, test.

    images: uint8 [images, channels, height, width].
    classes: split -> class names.
    counts: split -> pictures of each class, in the order of `classes`.
    fingerprint: SHA-256 of what the pictures came from, the same on every machine.
    left_out: hidden folders whose pictures are not among them.
    """

    images: Tensor
    classes: dict[str, list[str]]
    counts: dict[str, list[int]]
    fingerprint: str
    left_out: tuple[str, ...] = ()

    def by_split(self) -> dict[str, Tensor]:
        """ "<split>/images", and "<split>/sizes", int64 [classes]."""
        sizes = {split: torch.tensor(self.counts[split], dtype=torch.int64) for split in SPLITS}
        parts = torch.split(self.images, [int(sizes[split].sum()) for split in SPLITS])
        images = {f"{split}/images": part.contiguous() for split, part in zip(SPLITS, parts, strict=True)}
        return images | {f"{split}/sizes": sizes[split] for split in SPLITS}


def join_classes(
    classes: Mapping[str, Sequence[str]], pictures: Mapping[str, Tensor], fingerprint: str
) -> ClassImages:
    """ClassImages from every class's pictures [images, channels, height, width]."""
    ordered = [pictures[name] for split in SPLITS for name in classes[split]]
    return ClassImages(
        images=torch.cat(ordered).contiguous(),
        classes={split: list(classes[split]) for split in SPLITS},
        counts={split: [len(pictures[name]) for name in classes[split]] for split in SPLITS},
        fingerprint=fingerprint,
    )


def split_classes(names: Sequence[str], shares: Sequence[float], seed: int) -> dict[str, list[str]]:
    """The names shuffled by the seed, then cut into train, validation and test by their shares.

    Raises:
        InputError: shares that are not three positive numbers that sum to one, or too few classes.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"source.split is {list(shares)}; expected the shares of train, validation and test, sum 1"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    first = round(shares[0] * len(names))
    second = round((shares[0] + shares[1]) * len(names))
    parts = zip(SPLITS, np.split(order, [first, second]), shares, strict=True)
    classes = {}
    for split, part, share in parts:
        if share > 0 and not len(part):
            raise InputError(
                f"source.split gives {split} {share:g} of {len(names)} classes; expected at least one class"
            )
        classes[split] = [names[index] for index in sorted(part)]
    return classes


def join_for_final(classes: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Train and validation classes together for the final training; validation stays, empty."""
    return {
        "train": [*classes["train"], *classes["validation"]],
        "validation": [],
        "test": list(classes["test"]),
    }
