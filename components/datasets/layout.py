"""How a data set of one's own lies, read off its files' names: classes, and splits where it has its own."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from components.datasets.class_images import SPLITS
from components.datasets.decoding import SUFFIXES, is_picture
from metasgd.errors import InputError

# Folders at the top, in any case, that are splits.
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
LAYOUT = "<class>/<picture>, or train/<class>/<picture> with the like of it in val and test"
LISTED = 5  # files that a message names
Groups = dict[str, list[str]]


def group_by_class(names: Sequence[str], origin: str) -> Groups:
    """Class folder -> its pictures, both named from the top. names: of all visible files.

    Notes and lists may lie at the top, beside the class folders.
    Raises InputError, for all files at once, that lie elsewhere or are no pictures, and for no classes.
    """
    _require_none(
        [name for name in names if _depth(name) and not is_picture(name)], origin,
        "is no picture", "are no pictures", f"{', '.join(SUFFIXES)} in a class folder",
    )  # fmt: skip
    _require_none(
        [name for name in names if not _depth(name) and is_picture(name)], origin,
        "lies outside the class folders", "lie outside the class folders", "<class>/<picture>",
    )  # fmt: skip
    classes: Groups = defaultdict(list)
    for name in names:
        if _depth(name):
            classes[str(PurePosixPath(name).parent)].append(name)
    if not classes:
        raise InputError(f"{origin} holds no class folders; expected <class>/<picture>")
    if not _has_splits(classes):
        _require_none(
            [name for name in names if _depth(name) > 1], origin,
            "lies in a folder within a folder", "lie in folders within folders", LAYOUT,
        )  # fmt: skip
    return dict(classes)


def own_split(folders: Iterable[str], origin: str) -> Groups | None:
    """Split -> class folders, where folders at the top are train and test, with or without val; else None.

    Raises InputError for another folder beside them, pictures at another depth, and a class in two splits.
    """
    folders = list(folders)
    if not _has_splits(folders):
        return None
    classes: Groups = {split: [] for split in SPLITS}
    tops: dict[str, str] = {}
    for folder in folders:
        top, *below = folder.split("/")
        split = SPLIT_FOLDERS.get(top.casefold())
        if split is None:
            raise InputError(f"{origin} holds {top!r} beside train and test; expected train, val, test")
        if tops.setdefault(split, top) != top:
            raise InputError(f"{origin} holds {tops[split]!r} and {top!r}; expected one folder of a split")
        if len(below) != 1:
            raise InputError(f"{origin}/{folder} holds pictures; expected {top}/<class>/<picture>")
        classes[split].append(folder)
    _require_disjoint(classes, origin)
    return classes


def _require_disjoint(classes: Groups, origin: str) -> None:
    """Names that differ in case or in how their accents are written alone are one class's, too."""
    seen: dict[str, str] = {}
    for folder in (folder for split in SPLITS for folder in classes[split]):
        key = unicodedata.normalize("NFC", folder.partition("/")[2]).casefold()
        if (first := seen.setdefault(key, folder)) != folder and _top(first) != _top(folder):
            raise InputError(
                f"{origin} has one class in 2 splits, {first!r} and {folder!r}; expected it in one"
            )


def _has_splits(folders: Iterable[str]) -> bool:
    return {"train", "test"} <= {SPLIT_FOLDERS.get(_top(folder).casefold()) for folder in folders}


def _top(name: str) -> str:
    return name.partition("/")[0]


def _depth(name: str) -> int:
    return name.count("/")


def _require_none(names: Sequence[str], origin: str, one: str, many: str, expected: str) -> None:
    if len(names) == 1:
        raise InputError(f"{origin}/{names[0]} {one}; expected {expected}")
    if names:
        shown = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        raise InputError(f"{origin}: {len(names)} files {many}: {shown}; expected {expected}")
