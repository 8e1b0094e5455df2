"""Any folder of class folders of pictures: a plain directory, or one zip archive of it.

Folders train, val and test at the top, each with class folders, are the splits (components.datasets.layout);
otherwise the classes are split by the source's shares and the seed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NoReturn

from components.config.sources import ImageSource
from components.datasets.archives import (
    all_archive_names,
    archive_files,
    archive_names,
    is_visible,
    require_safe_name,
)
from components.datasets.class_images import ClassImages, join_for_final, split_classes
from components.datasets.decoding import decode_pictures, is_picture
from components.datasets.layout import Groups, group_by_class, own_split
from metasgd.errors import InputError


def load_folder(source: ImageSource, seed: int) -> ClassImages:
    """All pictures under `source.path`, a directory or an archive, grey or colour as the source says.

    Raises:
        InputError: no pictures, a class without any, or a picture that cannot be decoded.
    """
    path = Path(source.path).expanduser()
    pictures = class_pictures(path)
    classes = _split(list(pictures), source, seed, path)
    files = folder_files(path, sorted(name for names in pictures.values() for name in names))
    decoded = decode_pictures(files, classes, pictures, str(path), source.channels, source.size)
    return replace(decoded, left_out=tuple(hidden_folders(path)))


def _split(folders: list[str], source: ImageSource, seed: int, path: Path) -> Groups:
    """The data set's own, or the source's shares of its classes; validation classes are never missing."""
    classes = own_split(folders, str(path)) or split_classes(folders, source.split, seed)
    if source.final:
        return join_for_final(classes)
    train, validation, _ = source.split
    if validation and not classes["validation"]:
        share = validation / (train + validation)
        taken = split_classes(classes["train"], (1 - share, share, 0.0), seed)
        classes |= {"train": taken["train"], "validation": taken["validation"]}
    return classes


def class_pictures(path: Path) -> Groups:
    """Class folder -> its pictures, both named from the top.

    Raises:
        InputError: nothing there, a picture outside the class folders, or anything else inside them.
    """
    return group_by_class(folder_names(path), str(path))


def folder_names(path: Path) -> list[str]:
    """The visible files of a directory or an archive, relative to it, sorted; links are followed.

    Raises:
        InputError: neither of them, an empty folder, a link that leads nowhere or in a circle, what cannot
            be read, and a name that an archive could not hold.
    """
    archive = _archive(path)
    if archive is not None:
        return archive_names(archive)
    if not path.is_dir():
        raise InputError(f"{path} is missing; expected a folder of class folders, or a zip archive of it")
    with _readable("a folder"):
        return sorted(_walk(path, "", (path.resolve(),)))


def hidden_folders(path: Path) -> list[str]:
    """Folders of a directory or an archive with pictures that are left out for the dot before its name."""
    archive = _archive(path)
    files = all_archive_names(archive) if archive else (_below(file, path) for file in path.rglob("*"))
    return sorted({hidden for name in files if is_picture(name) and (hidden := _hidden_folder(name))})


def _below(file: Path, top: Path) -> str:
    return file.relative_to(top).as_posix()


def _hidden_folder(name: str) -> str | None:
    """The outermost hidden folder on the way to a file."""
    parts = PurePosixPath(name).parts[:-1]
    depth = next((depth for depth, part in enumerate(parts) if part.startswith(".")), None)
    return None if depth is None else "/".join(parts[: depth + 1])


def _walk(top: Path, below: str, above: tuple[Path, ...]) -> Iterator[str]:
    """above: the folders that were walked through to get here, to see circles of links."""
    entries = sorted(entry for entry in (top / below).iterdir() if is_visible(entry.name))
    if below and not entries:
        _refuse(top, below.rstrip("/"), "is empty; expected pictures of one class")
    for entry in entries:
        name = f"{below}{entry.name}"
        if not entry.exists():
            _refuse(top, name, "is a link that leads nowhere; expected a file or a folder")
        if entry.is_dir():
            if (real := entry.resolve()) in above:
                _refuse(top, name, "is a link to a folder around it; expected a file or a folder")
            yield from _walk(top, f"{name}/", (*above, real))
        elif entry.is_file():
            require_safe_name(name, top)
            yield name
        else:
            _refuse(top, name, "is a pipe or a device; expected a file or a folder")


def _refuse(top: Path, name: str, words: str) -> NoReturn:
    """A name that would break the line is what the line is about."""
    require_safe_name(name, top)
    raise InputError(f"{top / name} {words}")


def folder_files(path: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of the named files of a directory or an archive, one at a time."""
    archive = _archive(path)
    if archive is not None:
        yield from archive_files(archive, names)
        return
    for name in names:
        with _readable("a picture"):
            contents = (path / name).read_bytes()
        yield name, contents


@contextmanager
def _readable(expected: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); expected {expected}") from None


def _archive(path: Path) -> Path | None:
    """The archive itself, or the one that `make data` writes: datasets/birds/birds.zip.

    Raises InputError where class folders lie beside that one: which of them is meant?
    """
    if path.is_file():
        return path
    inside = path / f"{path.name}.zip"
    if not inside.is_file():
        return None
    others = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and is_visible(entry.name))
    if others:
        raise InputError(
            f"{path} holds {inside.name} and the folder {others[0]!r}; expected one or the other"
        )
    return inside
