"""Files and folders that are written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metasgd.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path`, whose file is flushed and takes its place at the end.

    If the body raises, `path` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """The whole content or nothing."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that takes its place at the end, replacing what was there.

    If the body raises, `output` stays as it was.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; expected the place of a folder")
    recover(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp is private; a result is for everyone to read
        put_in_place(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(
    new: Path, target: Path, confirm: Callable[[], None] = lambda: None, aside: Path | None = None
) -> None:
    """Rename a finished folder to `target`; what was there comes back if `confirm` raises.

    Until it is confirmed, the old folder lies aside, by default beside the target as .<name>.previous; where
    a process was killed in between, the next call puts it back.
    """
    previous = aside or _previous(target)
    recover(target, previous)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if target.exists():
            target.rename(previous)
        new.rename(target)
        confirm()
    except BaseException:
        _put_back(target, previous, new)
        raise
    if previous.exists():
        shutil.rmtree(previous.rename(_obsolete(previous)), ignore_errors=True)


def recover(target: Path, aside: Path | None = None) -> None:
    """Put back what a killed process had put aside, and delete what one had left to delete."""
    previous = aside or _previous(target)
    shutil.rmtree(_obsolete(previous), ignore_errors=True)
    if previous.exists():
        unconfirmed = previous.with_name(f"{previous.name}.unconfirmed")
        shutil.rmtree(unconfirmed, ignore_errors=True)
        _put_back(target, previous, unconfirmed)
        shutil.rmtree(unconfirmed, ignore_errors=True)


def _put_back(target: Path, previous: Path, new: Path) -> None:
    """`new`: where what stands in the target goes, if the old folder lies aside or there was none."""
    if target.exists() and not new.exists():
        target.rename(new)
    if previous.exists():
        previous.rename(target)


def _previous(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _obsolete(previous: Path) -> Path:
    return previous.with_name(f"{previous.name}.obsolete")
