"""A user's pictures: class folders to adapt on, and pictures that are to be predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from components.config.preparation import Preparation
from components.datasets.archives import is_visible
from components.datasets.folder import class_pictures, folder_files
from components.serving.names import legible
from components.serving.preparation import prepared_picture
from metasgd.errors import InputError

LISTED = 5  # pictures that a message names


@dataclass(frozen=True)
class Picture:
    """name: its path, legible. x: float32 [channels, size, size] from 0 to 1, as the network sees it."""

    name: str
    x: Tensor


Classes = dict[str, list[Picture]]


def read_classes(path: Path, preparation: Preparation | None) -> Classes:
    """Class folder -> its pictures, both sorted by name; hidden files are ignored.

    path: a folder of class folders, or a zip archive of it, as `components.datasets.folder` takes them.
    Raises InputError for a picture outside the class folders, anything else inside them, a class without
    pictures, fewer than two classes, and names with control characters, which no table could show.
    """
    folders = class_pictures(path)
    if len(folders) < 2:
        raise InputError(f"{path} holds one class, {next(iter(folders))!r}; expected 2 class folders or more")
    names = sorted(name for pictures in folders.values() for name in pictures)
    pictures = {
        name: Picture(legible(name), prepared_picture(contents, f"{path}/{name}", preparation))
        for name, contents in folder_files(path, names)
    }
    return {folder: [pictures[name] for name in folders[folder]] for folder in sorted(folders)}


def read_queries(paths: Sequence[Path], preparation: Preparation | None) -> list[Picture]:
    """The pictures among `paths` and in the folders among them, each once, in this order.

    Raises InputError that names the first of those that cannot be decoded, and counts them.
    """
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    found, failed = [], {}
    for file in files:
        try:
            found.append(
                Picture(legible(str(file)), prepared_picture(_contents(file), str(file), preparation))
            )
        except InputError as error:
            failed[str(file)] = error
    if len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        shown = ", ".join(list(failed)[:LISTED]) + (", ..." if len(failed) > LISTED else "")
        raise InputError(
            f"{len(failed)} of {len(files)} queries cannot be decoded: {shown}; expected PNG or JPEG"
        )
    return found


def _files(path: Path) -> Iterator[Path]:
    """A file, or the visible files of a folder and of the folders in it, sorted."""
    if not path.is_dir():
        yield path
        return
    found = sorted(file for file in path.rglob("*") if file.is_file() and is_visible(_below(file, path)))
    if not found:
        raise InputError(f"QUERIES {path} holds no files; expected pictures")
    yield from found


def _below(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _contents(file: Path) -> bytes:
    if not file.is_file():  # reading a pipe or a device might never end
        raise InputError(
            f"QUERIES {file} is no file and no folder; expected a picture or a folder of pictures"
        )
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"QUERIES {file} cannot be read ({error.strerror}); expected a picture") from None
