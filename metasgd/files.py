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
        with temporary.open("rb") as file:
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

    It is deleted last. Until then it lies aside, by default beside the target as .<name>.previous: where a
    process was killed in between, the next call finds it there.
    """
    previous = aside or _previous(target)
    recover(target, previous)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(previous)
    try:
        new.rename(target)
        confirm()
    except BaseException:
        if target.exists():
            target.rename(new)
        recover(target, previous)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def recover(target: Path, aside: Path | None = None) -> None:
    """Undo a replacement that a killed process left half done, or finish one that was all but done."""
    previous = aside or _previous(target)
    if not previous.exists():
        return
    if target.exists():
        shutil.rmtree(previous)
    else:
        previous.rename(target)


def _previous(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")
