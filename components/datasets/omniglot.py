"""Omniglot: 1,623 handwritten characters of 50 alphabets, twenty people's drawings of each.

Lake et al. (2015), github.com/brendenlake/omniglot, MIT licence. Reads the official two archives, or
the same pictures written canonically by `make data`.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.config.sources import ImageSource
from components.datasets.archives import archive_files, archive_names
from components.datasets.class_images import SPLITS, ClassImages, join_for_final
from components.datasets.decoding import decode_pictures, is_picture
from metasgd.errors import InputError

# Archive -> its characters; in each, <archive>/<alphabet>/<character>/<drawing>.png.
ARCHIVES = {"images_background": 964, "images_evaluation": 659}
DRAWINGS = 20
SIDE = 105
# The split of Vinyals et al. (2016), 1028 / 172 / 423 characters, as published with
# github.com/jakesnell/prototypical-networks (MIT licence), without its rotations.
SPLIT_FILE = Path(__file__).with_name("omniglot_split.csv")
VALIDATION_ALPHABETS = 5  # of the official split, which has no validation characters of its own


def load_omniglot(source: ImageSource, seed: int) -> ClassImages:
    """All characters by the split of Vinyals et al., bright strokes on dark; the seed is unused.

    Raises:
        InputError: a missing or damaged archive, or other counts.
    """
    return _load(source, vinyals_split())


def load_official_omniglot(source: ImageSource, seed: int) -> ClassImages:
    """The same by the split of Omniglot's authors, whose one-shot runs are of its evaluation characters.

    Raises:
        InputError: a missing or damaged archive, or other counts.
    """
    return _load(source, official_split(omniglot_pictures(_folder(source)), seed))


def _load(source: ImageSource, classes: Mapping[str, Sequence[str]]) -> ClassImages:
    folder = _folder(source)
    pictures = omniglot_pictures(folder)
    classes = join_for_final(classes) if source.final else classes
    loaded = decode_pictures(
        omniglot_files(folder), classes, pictures, str(folder), source.channels, source.size, SIDE
    )
    return replace(loaded, images=255 - loaded.images)


def _folder(source: ImageSource) -> Path:
    return Path(source.path).expanduser() / "omniglot"


def omniglot_pictures(folder: Path) -> dict[str, list[str]]:
    """Alphabet/character -> its drawings in the folder's two archives.

    Raises:
        InputError: a missing or damaged archive, or other counts than the published ones.
    """
    pictures: dict[str, list[str]] = defaultdict(list)
    for archive, expected in ARCHIVES.items():
        path = folder / f"{archive}.zip"
        before = len(pictures)
        for name in drawing_names(path):
            pictures["/".join(name.split("/")[1:3])].append(name)
        if len(pictures) - before != expected:
            raise InputError(f"{path} has {len(pictures) - before} characters; expected {expected}")
    for character, names in pictures.items():
        if len(names) != DRAWINGS:
            raise InputError(f"{folder} has {len(names)} drawings of {character}; expected {DRAWINGS}")
    known = {character for characters in vinyals_split().values() for character in characters}
    if others := sorted(set(pictures) - known):
        raise InputError(f"{folder} has {others[0]}; expected only characters of the published split")
    return dict(pictures)


def omniglot_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of every drawing, one at a time."""
    for archive in ARCHIVES:
        path = folder / f"{archive}.zip"
        yield from archive_files(path, drawing_names(path))


def vinyals_split() -> dict[str, list[str]]:
    """Split -> characters."""
    classes: dict[str, list[str]] = {split: [] for split in SPLITS}
    with SPLIT_FILE.open(newline="") as file:
        for row in csv.DictReader(file):
            classes[row["split"]].append(row["character"])
    return classes


def official_split(pictures: Mapping[str, Sequence[str]], seed: int) -> dict[str, list[str]]:
    """Split -> characters: the evaluation archive's for test, and of the background archive's 30 alphabets
    five, drawn by the seed, for validation; no alphabet is in two splits.

    pictures: as `omniglot_pictures` gives them.
    """
    background, evaluation = (
        sorted(character for character, names in pictures.items() if names[0].startswith(f"{archive}/"))
        for archive in ARCHIVES
    )
    alphabets = sorted({_alphabet(character) for character in background})
    held_out = set(np.random.default_rng(seed).permutation(alphabets)[:VALIDATION_ALPHABETS].tolist())
    return {
        "train": [character for character in background if _alphabet(character) not in held_out],
        "validation": [character for character in background if _alphabet(character) in held_out],
        "test": evaluation,
    }


def _alphabet(character: str) -> str:
    return character.partition("/")[0]


def drawing_names(path: Path) -> list[str]:
    """The drawings in one of the archives, sorted. InputError for anything else in it."""
    names = archive_names(path)
    for name in names:
        if not is_picture(name) or name.count("/") != 3 or not name.startswith(f"{path.stem}/"):
            raise InputError(
                f"{path} holds {name}; expected {path.stem}/<alphabet>/<character>/<drawing>.png only"
            )
    return names
