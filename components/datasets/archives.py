"""Zip archives of pictures: written canonically, so that equal contents are equal bytes, and read safely.

Archives are read in memory and never unpacked: a member's name is a label here, not a path.
"""

import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

from metasgd.errors import InputError
from metasgd.files import whole_file

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip archive can hold
FILE_MODE = 0o644
UNIX = 3  # zip's number of the system whose permissions an entry carries
# Unicode categories: control characters, bytes that are no text, line and paragraph separators.
CONTROL = ("Cc", "Cs", "Zl", "Zp")
LEFTOVERS = ("__MACOSX", "Thumbs.db", "desktop.ini")
DAMAGE = (BadZipFile, ZlibError, EOFError, NotImplementedError, RuntimeError, OSError)


def write_archive(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, contents) pairs undated and uncompressed; the archive appears whole or not at all.

    files: in ascending order of name, which makes the bytes depend on the contents alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        with ZipFile(temporary, "w", ZIP_STORED) as archive:
            for member, contents in _ascending(files):
                archive.writestr(_entry(member), contents)
        temporary.chmod(FILE_MODE)


def archive_names(path: Path) -> list[str]:
    """The visible files of an archive, sorted. Raises InputError as `all_archive_names`."""
    return [name for name in all_archive_names(path) if is_visible(name)]


def all_archive_names(path: Path) -> list[str]:
    """The files of an archive, hidden ones too, sorted.

    Raises:
        InputError: a missing or damaged archive, or a member that is a link, climbs out or comes twice.
    """
    with _opened(path) as archive:
        members = archive.infolist()
    for member in members:
        require_safe_name(member.orig_filename, path)  # as stored: `filename` is cut at a null byte
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(
                f"{path} holds {member.orig_filename!r}, a symbolic link; expected ordinary files"
            )
    names = sorted(member.filename for member in members if not member.is_dir())
    if twice := [name for name, following in pairwise(names) if name == following]:
        raise InputError(f"{path} holds {twice[0]!r} twice; expected every name once")
    return names


def archive_files(path: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of the named members, one at a time.

    Raises:
        InputError: a missing or damaged archive.
    """
    with _opened(path) as archive:
        for name in names:
            with _readable(path):
                contents = archive.read(name)
            yield name, contents


def is_visible(name: str) -> bool:
    """False for hidden files and for what operating systems leave in folders."""
    return not any(part.startswith(".") or part in LEFTOVERS for part in PurePosixPath(name).parts)


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    if not path.is_file():
        raise InputError(f"{path} is missing; expected a zip archive")
    with _readable(path):
        archive = ZipFile(path)
    with archive:
        yield archive


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read ({error}); expected a whole, plain zip archive") from error


def _ascending(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    previous = ""
    for name, contents in files:
        if name <= previous:
            raise ValueError(f"{name!r} follows {previous!r}; expected ascending names")
        yield name, contents
        previous = name


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.create_system = UNIX
    entry.external_attr = (stat.S_IFREG | FILE_MODE) << 16
    return entry


def require_safe_name(name: str, origin: Path) -> None:
    """Raises InputError for a name that an archive here may not hold: read or written, the rule is one.

    It is relative, stays inside, and has no drive, no backslash, no control characters and only Unicode.
    """
    parts = name.split("/")
    climbs = name.startswith("/") or ".." in parts or ":" in parts[0] or "\\" in name
    if climbs or any(unicodedata.category(character) in CONTROL for character in name):
        raise InputError(
            f"{origin} holds {name!r}; expected relative names that stay inside the archive, in Unicode, "
            "without : and \\ and control characters"
        )
