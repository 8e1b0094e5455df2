"""Addresses of tracking stores: what is none is one line, at once, and makes nothing."""

import os
import stat
from pathlib import Path

import pytest

from components.tracking.client import connect
from metasgd.errors import InputError


def refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError) as caught:
        connect()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mlruns", "is neither a server nor a database; expected http(s)://host:port, or a database"),
        ("./mlruns", "is neither"),
        ("file:///tmp/mlruns", "is neither"),
        ("ftp://example.org/mlruns", "is neither"),
        ("127.0.0.1:5000", "is neither"),
        ("localhost:5000", "is neither"),
        ("databricks", "is neither"),
        ("http://", "is no address"),
        ("http://[::1", "is no address"),
        ("http://example.org:port", "is no address"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql+none://example.org/mlflow", "its driver is not installed"),
        ("mysql://user:sesame@example.org/mlflow", "its driver is not installed"),
        ("postgresql+psycopg2://user:sesame@example.org/mlflow", "its driver is not installed"),
    ],
)
def test_what_is_no_address_of_a_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, words: str
) -> None:
    """Without the password; and no folder of that name is made."""
    monkeypatch.chdir(tmp_path)
    line = refused(monkeypatch, uri)
    assert words in line
    assert "sesame" not in line
    assert not list(tmp_path.iterdir())


def test_a_database_in_a_folder_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mistyped path makes no new store."""
    line = refused(monkeypatch, f"sqlite:///{tmp_path}/typo/mlflow.db")
    assert f"there is no folder {tmp_path}/typo; expected one for the database" in line
    assert not list(tmp_path.iterdir())


def test_a_database_that_is_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MLflow would ask it for a minute and a half."""
    assert "is a folder; expected a database file in it" in refused(monkeypatch, f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\x01" * 2000], ids=["text", "header"]
)
def test_a_database_that_is_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    """It stays as it was."""
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    assert "expected a database that answers" in refused(monkeypatch, f"sqlite:///{file}")
    assert file.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_database_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert "expected a database that answers" in refused(monkeypatch, f"sqlite:///{tmp_path}/mlflow.db")


def test_the_local_store_of_a_damaged_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an address, .local/mlflow.db is looked at as any other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "mlflow.db").write_bytes(b"no database" * 100)
    assert f"{tmp_path}/.local/mlflow.db: file is not a database" in refused(monkeypatch, "")
