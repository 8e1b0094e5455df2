"""A bucket on a real server, with what `dvc push` put there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tenacity import wait_none

from components.datasets import pinned
from components.datasets.placement import make_data_set
from components.storage.s3 import (
    S3Client,
)
from tests.components.datasets.helpers import png, write_files
from tests.components.datasets.pinned.objects import LARGE, REMOTE
from tests.s3_server import S3Server, s3_server

FILES = {
    "class a/1.png": png(10),
    "class a/2.png": png(20),
    "b/c/same as 1.png": png(10),
    "empty": b"",
    "list.csv": b"1,2\n" * 1000,
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, server: S3Server) -> Path:
    """A DVC repository: a folder, a data set by `make data` and a large file, pinned and pushed."""
    folder = tmp_path_factory.mktemp("repository")
    write_files(folder / "data", FILES)
    (folder / "large.bin").write_bytes(os.urandom(LARGE))
    pictures = {
        f"{label}/{i}.png": png(20 * i + 3 * j) for j, label in enumerate("abcdefgh") for i in range(6)
    }
    with pytest.MonkeyPatch.context() as patch:
        server.use(patch)
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "dvc-site-cache"))
        _dvc(folder, "init", "-q", "--no-scm")
        _dvc(folder, "remote", "add", "-q", "-d", "store", REMOTE)
        _dvc(folder, "remote", "modify", "-q", "store", "endpointurl", server.endpoint)
        _dvc(folder, "add", "-q", "data", "large.bin")
        make_data_set("birds", write_files(folder.parent / "birds", pictures), folder)
        _dvc(folder, "push", "-q")
    return folder


def _dvc(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True)


@pytest.fixture(scope="session")
def s3(server: S3Server) -> Iterator[S3Client]:
    with server.client() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once."""
    monkeypatch.setattr(pinned._fetch.retry, "wait", wait_none())
