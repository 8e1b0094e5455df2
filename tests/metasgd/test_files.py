"""Files and folders are written whole or not at all, whatever comes in between."""

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from metasgd.errors import InputError
from metasgd.files import put_in_place, recover, whole_file, whole_folder, write_atomically


def test_a_write_is_on_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is flushed under another name first: a reader finds the old file or the new one."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[bytes] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", watched)
    write_atomically(path, b"new")
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


def test_a_file_stays_as_it_was_if_its_body_raises(tmp_path: Path) -> None:
    """And nothing is left beside it."""
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "file") as temporary:
        temporary.write_bytes((tmp_path / "missing").read_bytes())
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (Path, "replace")])
def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    """Before it is flushed or before it takes its place; and nothing is left beside it."""
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(owner, name, interrupted(1, getattr(owner, name), "before"))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"old"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def folder_of(place: Path, text: str) -> Path:
    place.mkdir(parents=True)
    (place / "name").write_text(text)
    return place


def replace(target: Path) -> None:
    with whole_folder(target) as folder:
        (folder / "name").write_text("new")


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    """What was there is gone, and nothing is left beside the new one."""
    target = folder_of(tmp_path / "target", "old")
    (target / "another").write_text("old")
    replace(target)
    assert contents(tmp_path) == {"target/name": b"new"}


def test_a_folder_stays_as_it_was_if_its_body_raises(tmp_path: Path) -> None:
    """And a file in its place is refused."""
    target = folder_of(tmp_path / "target", "old")
    with pytest.raises(KeyError), whole_folder(target):
        raise KeyError
    assert contents(tmp_path) == {"target/name": b"old"}
    with pytest.raises(InputError, match="is a file"):
        replace(target / "name")


def interrupted(number: int, function: Callable[..., object], when: str) -> Callable[..., object]:
    """The function, but its n-th call raises, "before" or "after" its effect, or it and "all" that follow."""
    calls = count(1)

    def call(*arguments: object, **options: object) -> object:
        made = next(calls)
        if when == "after" and made == number:
            function(*arguments, **options)
        if made == number or (when == "all" and made > number):
            raise KeyboardInterrupt
        return function(*arguments, **options)

    return call


@pytest.mark.parametrize("when", ["before", "after", "all"])
@pytest.mark.parametrize(("owner", "name"), [(Path, "rename"), (shutil, "rmtree")])
def test_an_interruption_never_loses_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, when: str
) -> None:
    """At every call that there is: the old folder or the new one is in place, whole, at once or recovered."""
    for number in count(1):
        target = folder_of(tmp_path / str(number) / "target", "old")
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupted(number, getattr(owner, name), when))
            try:
                replace(target)
            except KeyboardInterrupt:
                pass
            else:
                break
        if when != "before":
            recover(target)
        assert contents(target) in ({"name": b"old"}, {"name": b"new"})
    assert number > 3, "aside, into place, out of the way"


def killed_between_renames(target: Path) -> None:
    """As a process leaves it that is killed after the old folder went aside: no code of its own runs."""
    target.rename(target.with_name(f".{target.name}.previous"))


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_killed_process_had_put_aside_comes_back(tmp_path: Path, fails: bool) -> None:
    """With the next call, whether that one succeeds or not."""
    target = folder_of(tmp_path / "target", "old")
    killed_between_renames(target)
    if fails:
        with pytest.raises(KeyError), whole_folder(target):
            raise KeyError
        assert contents(tmp_path) == {"target/name": b"old"}
    else:
        replace(target)
        assert contents(tmp_path) == {"target/name": b"new"}


def test_what_a_killed_process_left_to_delete_is_deleted(tmp_path: Path) -> None:
    """The new folder was confirmed, and the old one out of the way."""
    target = folder_of(tmp_path / "target", "new")
    folder_of(tmp_path / ".target.previous.obsolete", "old")
    recover(target)
    assert contents(tmp_path) == {"target/name": b"new"}


def test_what_a_killed_process_had_not_confirmed_yet_goes(tmp_path: Path) -> None:
    """The new folder stood in its place, and whether it could stay was being looked at."""
    target = folder_of(tmp_path / "target", "new")
    folder_of(tmp_path / ".target.previous", "old")
    recover(target)
    assert contents(tmp_path) == {"target/name": b"old"}


@pytest.mark.parametrize(("aside", "place"), [(None, "place/.target.previous"), (".aside", ".aside")])
def test_the_old_folder_comes_back_if_the_new_one_is_not_confirmed(
    tmp_path: Path, aside: str | None, place: str
) -> None:
    """Meanwhile it lies beside the target or elsewhere; the new one goes back to where it came from."""
    target, new = folder_of(tmp_path / "place" / "target", "old"), folder_of(tmp_path / "new", "new")
    seen: list[dict[str, bytes]] = []

    def refuse() -> None:
        seen.append(contents(tmp_path))
        raise InputError("not the pinned ones")

    with pytest.raises(InputError):
        put_in_place(new, target, refuse, tmp_path / aside if aside else None)
    assert seen == [{"place/target/name": b"new", f"{place}/name": b"old"}]
    assert contents(tmp_path) == {"place/target/name": b"old", "new/name": b"new"}
