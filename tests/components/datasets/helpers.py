"""Small picture folders and archives for the tests of the picture sources."""

import io
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipFile

from PIL import Image

from components.config.sources import ImageSource

T = TypeVar("T")
MIRROR = Path(__file__).parents[4] / "shared" / "data"


def image_source(name: Any, path: Path | str, **changes: Any) -> ImageSource:
    """A source with small grey pictures, unless changed."""
    settings: dict[str, Any] = {
        "size": 8,
        "channels": 1,
        "rotations": False,
        "rotate_test": False,
        "split": (0.5, 0.25, 0.25),
        "final": False,
    }
    return ImageSource(name=name, path=str(path), **(settings | changes))


def png(value: int, width: int = 10, height: int = 10) -> bytes:
    """A grey PNG of one shade."""
    return _encoded(Image.new("L", (width, height), value), "PNG")


def jpeg(red: int, green: int, blue: int) -> bytes:
    """A JPEG of one colour."""
    return _encoded(Image.new("RGB", (16, 16), (red, green, blue)), "JPEG")


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """The files under a folder, made where needed."""
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """A zip archive written by the standard library, in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return path


def flat(groups: dict[str, list[T]]) -> list[T]:
    """The values of all splits, one after the other."""
    return list(chain.from_iterable(groups.values()))


def _encoded(picture: Image.Image, encoding: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, encoding)
    return buffer.getvalue()
