"""Folders that the program writes: whole or not at all, and only over what it wrote there itself.

MARK lists what was written, each file with its SHA-256, so that whoever reads the folder can see that it is
as it was left.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path

from metasgd.errors import CheckpointError, InputError
from metasgd.files import recover, whole_folder

MARK = ".written.json"
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # desktops leave it; it is nobody's loss


@contextmanager
def own_folder(output: Path, writer: str, passing: Collection[str] = ()) -> Iterator[Path]:
    """A temporary folder beside `output` that takes its place at the end.

    What was there is replaced only where the same writer wrote all of it, by the list that it left in MARK.
    If the body raises, `output` stays as it was.

    writer: the module whose command it is, as "components.train". passing: files that may change later.
    Raises InputError for a place that holds anything else, before the body and after it.
    """
    output = output.resolve() if output.is_symlink() else output
    recover(output)
    require_own(output, writer)
    with whole_folder(output) as folder:
        yield folder
        files = {name: None if name in passing else _digest(folder / name) for name in sorted(_files(folder))}
        written = {"written_by": writer, "files": files}
        (folder / MARK).write_text(json.dumps(written, indent=2) + "\n")
        require_own(output, writer)


def require_own(output: Path, writer: str) -> None:
    """Raises InputError for a folder with files that the writer did not write, or for a file."""
    require_only(output, _written(output, writer), writer)


def require_whole(folder: Path, but: Collection[str] = ()) -> None:
    """Raises CheckpointError for a file that is not as it was written there.

    but: files that are not looked at.
    A folder without a mark is taken as it is, and so are files that are missing: who needs them says so.
    """
    for name, digest in _digests(_mark(folder)).items():
        path = folder / name
        if digest is not None and name not in but and path.is_file() and _digest(path) != digest:
            raise CheckpointError(f"{path}: differs from what was written there; expected it as it was")


def is_whole(folder: Path) -> bool:
    """Whether everything that was written there is there, and as it was."""
    digests = _digests(_mark(folder))
    return bool(digests) and all(
        (folder / name).is_file() and digest in (None, _digest(folder / name))
        for name, digest in digests.items()
    )


def content_digest(folder: Path) -> str:
    """The SHA-256 of all that was written there, by its mark; without one, the folder's own place."""
    digests = _digests(_mark(folder))
    contents = {name: digest or _digest(folder / name) for name, digest in digests.items()}
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest() if contents else str(folder)


def require_only(output: Path, files: Set[str], writer: str) -> None:
    """Raises InputError for a folder with files other than these, or for a file. A missing folder is fine."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; expected the place of a folder")
    if foreign := sorted(_files(output) - files):
        others = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            f"{output}: holds {foreign[0]}{others}, not written by {writer}; "
            "expected a new folder, or one without other files"
        )


def _files(folder: Path) -> set[str]:
    """All but the mark and litter, named from the folder; a link is a file, whatever it leads to."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found if path.name not in {*LITTER, MARK}}


def _written(folder: Path, writer: str) -> set[str]:
    mark = _mark(folder)
    return set(_digests(mark)) if mark.get("written_by") == writer else set()


def _mark(folder: Path) -> Mapping[str, object]:
    """Nothing, where there is none that can be read."""
    try:
        mark = json.loads((folder / MARK).read_bytes())
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _digests(mark: Mapping[str, object]) -> Mapping[str, object]:
    """By file; earlier marks are lists of files alone."""
    files = mark.get("files")
    if isinstance(files, list):
        return {name: None for name in files if isinstance(name, str)}
    return files if isinstance(files, dict) else {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
