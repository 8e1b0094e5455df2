"""Only what the program wrote is replaced: nothing that anybody else put into a folder is ever lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metasgd.errors import CheckpointError, InputError
from metasgd.own_folder import MARK, content_digest, is_whole, own_folder, require_whole

WRITER = "components.evaluate"


def contents(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != MARK)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def write(output: Path, text: str, writer: str = WRITER, name: str = "result") -> None:
    with own_folder(output, writer) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / name).write_text(text)


def test_what_it_wrote_is_replaced_whole(tmp_path: Path) -> None:
    """Files that the new one lacks go; an empty folder and what desktops leave are in nobody's way."""
    output = tmp_path / "output"
    output.mkdir()
    (output / ".DS_Store").write_text("litter")
    write(output, "old", name="another")
    write(output, "new")
    assert contents(tmp_path) == {"output/figures/result": "new"}


def note_beside(output: Path) -> None:
    (output / "thesis.txt").write_text("mine")


def note_below(output: Path) -> None:
    (output / "figures" / "thesis.txt").write_text("mine")


def hidden_note(output: Path) -> None:
    (output / ".thesis").write_text("mine")


def link(output: Path) -> None:
    (output / "thesis").symlink_to(output.parent)


def broken_mark(output: Path) -> None:
    (output / MARK).write_text("[")


def foreign_mark(output: Path) -> None:
    (output / MARK).write_text('{"written_by": 3, "files": "*"}')


def no_mark(output: Path) -> None:
    (output / MARK).unlink()


@pytest.mark.parametrize(
    "change", [note_beside, note_below, hidden_note, link, broken_mark, foreign_mark, no_mark]
)
def test_foreign_files_are_kept(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """And named, before anything is written."""
    output = tmp_path / "output"
    write(output, "old")
    change(output)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"output: holds \S+, not written by components\.evaluate; expected"):
        write(output, "new")
    assert sorted(tmp_path.rglob("*")) == before
    assert contents(output)["figures/result"] == "old"


def test_another_steps_output_is_kept(tmp_path: Path) -> None:
    """A wrong --output does not cost a training."""
    write(tmp_path / "output", "checkpoint", writer="components.train")
    with pytest.raises(InputError, match=r"holds figures/result, not written by components\.evaluate"):
        write(tmp_path / "output", "new")
    assert contents(tmp_path) == {"output/figures/result": "checkpoint"}


def test_files_that_come_meanwhile_are_kept(tmp_path: Path) -> None:
    output = tmp_path / "output"

    def write_slowly() -> None:
        with own_folder(output, WRITER) as folder:
            (folder / "result").write_text("new")
            output.mkdir()
            note_beside(output)

    with pytest.raises(InputError, match=r"holds thesis\.txt"):
        write_slowly()
    assert contents(tmp_path) == {"output/thesis.txt": "mine"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    """As to a larger disk: what it leads to is replaced."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "output").symlink_to("disk")
    for text in ("old", "new"):
        write(tmp_path / "output", text)
    assert (tmp_path / "output").is_symlink()
    assert contents(tmp_path / "disk") == {"figures/result": "new"}


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("mine")
    with pytest.raises(InputError, match="is a file; expected the place of a folder"):
        write(tmp_path / "output", "new")
    assert contents(tmp_path) == {"output": "mine"}


def test_a_file_that_is_not_as_it_was_written_is_found(tmp_path: Path) -> None:
    """One changed byte; not in a file that may change, nor in one that is not looked at."""
    output = tmp_path / "output"
    with own_folder(output, WRITER, passing=["times"]) as folder:
        for name in ("weights", "times", "images"):
            (folder / name).write_text(name)
    require_whole(output)
    (output / "times").write_text("later")
    (output / "images").write_text("other")
    require_whole(output, but=["images"])
    with pytest.raises(CheckpointError, match=r"output/images: differs from what was written there"):
        require_whole(output)


def test_a_folder_is_known_by_its_contents(tmp_path: Path) -> None:
    """Wherever it lies, and by those that may change, too; without a mark, by its place."""

    def made(name: str, times: str) -> str:
        with own_folder(tmp_path / name, WRITER, passing=["times"]) as folder:
            (folder / "weights").write_text("weights")
            (folder / "times").write_text(times)
        return content_digest(tmp_path / name)

    assert made("one", "1 s") == made("two", "1 s") != made("three", "2 s")
    assert content_digest(tmp_path) == str(tmp_path)


@pytest.mark.parametrize(("name", "left"), [("weights", "others"), ("weights", None), ("times", None)])
def test_a_folder_that_lacks_a_file_or_has_another_is_not_whole(
    tmp_path: Path, name: str, left: str | None
) -> None:
    with own_folder(tmp_path / "output", WRITER, passing=["times"]) as folder:
        (folder / "weights").write_text("weights")
        (folder / "times").write_text("1 s")
    (tmp_path / "output" / "times").write_text("2 s")
    assert is_whole(tmp_path / "output")
    (tmp_path / "output" / name).write_text(left) if left else (tmp_path / "output" / name).unlink()
    assert not is_whole(tmp_path / "output")
    assert not is_whole(tmp_path)


def test_folders_without_digests_are_taken_as_they_are(tmp_path: Path) -> None:
    """Those of others, those of earlier commits, and files that are not there: who needs them says so."""
    write(tmp_path / "output", "text")
    (tmp_path / "output" / "figures" / "result").unlink()
    require_whole(tmp_path / "output")
    (tmp_path / "output" / MARK).write_text(f'{{"written_by": "{WRITER}", "files": ["figures/result"]}}')
    (tmp_path / "output" / "figures" / "result").write_text("other")
    require_whole(tmp_path / "output")
    require_whole(tmp_path)
    write(tmp_path / "output", "again")
