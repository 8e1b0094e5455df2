"""Folders that the program writes: whole or not at all, and only over what it wrote there itself."""

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from metasgd.errors import InputError
from metasgd.files import recover, whole_folder

MARK = ".written.json"
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # desktops leave it; it is nobody's loss


@contextmanager
def own_folder(output: Path, writer: str) -> Iterator[Path]:
    """A temporary folder beside `output` that takes its place at the end.

    What was there is replaced only where the same writer wrote all of it, by the list that it left in MARK.
    If the body raises, `output` stays as it was.

    writer: the module whose command it is, as "components.train".
    Raises InputError for a place that holds anything else, before the body and after it.
    """
    output = output.resolve() if output.is_symlink() else output
    recover(output)
    require_own(output, writer)
    with whole_folder(output) as folder:
        yield folder
        written = {"written_by": writer, "files": sorted(_files(folder))}
        (folder / MARK).write_text(json.dumps(written, indent=2) + "\n")
        require_own(output, writer)


def require_own(output: Path, writer: str) -> None:
    """Raises InputError for a folder with files that the writer did not write, or for a file."""
    require_only(output, _written(output, writer), writer)


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
    try:
        mark = json.loads((folder / MARK).read_bytes())
    except (OSError, ValueError):
        return set()
    known = (
        isinstance(mark, dict) and mark.get("written_by") == writer and isinstance(mark.get("files"), list)
    )
    return {name for name in mark["files"] if isinstance(name, str)} if known else set()
