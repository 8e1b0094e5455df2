"""Canonical archives: equal contents are equal bytes, and nothing unsafe or damaged gets through."""

import stat
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import pytest

from components.datasets.archives import archive_files, archive_names, write_archive
from metasgd.errors import InputError

FILES = {"a/1.png": b"one", "a/2.png": b"two", "b/1.png": b"three" * 50}


def _write(path: Path, files: dict[str, bytes] = FILES) -> Path:
    write_archive(path, sorted(files.items()))
    return path


def _add(path: Path, entry: ZipInfo | str, contents: bytes = b"x") -> Path:
    with ZipFile(path, "a") as archive:
        archive.writestr(entry, contents)
    return path


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    """Neither time nor place shows in an archive."""
    assert _write(tmp_path / "1.zip").read_bytes() == _write(tmp_path / "deep" / "2.zip").read_bytes()


def test_entries_are_undated_stored_and_readable_by_all(tmp_path: Path) -> None:
    """Date 1980-01-01, permissions 0644, no compression: bytes do not depend on a zlib version."""
    with ZipFile(_write(tmp_path / "a.zip")) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(FILES)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {stat.S_IFREG | 0o644}
    assert {entry.compress_type for entry in entries} == {ZIP_STORED}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Names and contents come back."""
    path = _write(tmp_path / "a.zip")
    assert dict(archive_files(path, archive_names(path))) == FILES


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """An error in the middle leaves the old archive and no temporary file."""
    path = _write(tmp_path / "a.zip")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="expected ascending names"):
        write_archive(path, [("b", b"1"), ("a", b"2")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]
    assert path.read_bytes() == before


def test_leftovers_of_operating_systems_are_skipped(tmp_path: Path) -> None:
    """Hidden files and system folders are no pictures."""
    path = _write(tmp_path / "a.zip")
    for name in ("a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/._1.png"):
        _add(path, name)
    assert archive_names(path) == sorted(FILES)


@pytest.mark.parametrize(
    "name", ["../out.png", "a/../../out.png", "/etc/out.png", "C:/out.png", "a\\..\\b.png"]
)
def test_names_that_climb_out_are_refused(tmp_path: Path, name: str) -> None:
    """A member cannot point outside the archive."""
    path = _add(_write(tmp_path / "a.zip"), name)
    with pytest.raises(InputError, match=r"a\.zip holds .*expected relative names") as caught:
        archive_names(path)
    assert "\n" not in str(caught.value)


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    """A link is no picture, wherever it points."""
    link = ZipInfo("a/link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = _add(_write(tmp_path / "a.zip"), link, b"/etc/passwd")
    with pytest.raises(InputError, match=r"a\.zip holds 'a/link\.png', a symbolic link"):
        archive_names(path)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two is meant?"""
    path = _write(tmp_path / "a.zip")
    with ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a/1.png", b"another")
    with pytest.raises(InputError, match=r"a\.zip holds 'a/1\.png' twice; expected every name once"):
        archive_names(path)


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    """Half a download is refused."""
    path = _write(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(InputError, match=r"a\.zip cannot be read .*expected a whole, plain zip archive"):
        archive_names(path)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    """Every member is checked against its checksum."""
    path = _write(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes().replace(b"two", b"tvo"))
    with pytest.raises(InputError, match=r"a\.zip cannot be read .*a/2\.png"):
        list(archive_files(path, archive_names(path)))


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    """The message says which file is expected."""
    with pytest.raises(InputError, match=r"none\.zip is missing; expected a zip archive"):
        archive_names(tmp_path / "none.zip")
