"""Pinned data: what `dvc push` put on a real server is fetched byte for byte without DVC, or not at all."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kfp.dsl import Dataset

from components.config.parsing import from_json, to_json
from components.console.progress import PROGRESS, READ
from components.datasets.pinned import (
    Pin,
    download,
    pin_file,
    resolve,
)
from components.preprocess import component
from components.preprocess.step import preprocess
from components.storage.s3 import (
    S3Client,
    S3Error,
    S3RefusedError,
    S3TransferError,
    S3UnreachableError,
    client,
)
from metasgd.errors import InputError
from tests.components.datasets.helpers import write_files
from tests.components.datasets.pinned.objects import (
    LARGE,
    REMOTE,
    contents,
    image_tasks,
    key,
    stored,
    stored_list,
)
from tests.s3_server import BUCKET, Proxy, S3Server, proxy

AFTER = 100_000  # bytes of a connection that breaks off


@pytest.mark.parametrize("data", ["data", "datasets/birds"])
def test_a_download_is_what_was_pinned(root: Path, s3: S3Client, tmp_path: Path, data: str) -> None:
    """Every file, byte for byte, in the place of whatever was there; the pin travels as JSON."""
    write_files(tmp_path / "target", {"before": b"before"})
    pin = from_json(Pin, to_json(resolve(root, f"{data}.dvc")))
    download(pin, tmp_path / "target", s3)
    assert contents(tmp_path / "target") == contents(root / data)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_single_file_can_be_pinned(root: Path, s3: S3Client, tmp_path: Path) -> None:
    """In pieces, as it is large."""
    download(resolve(root, "large.bin.dvc"), tmp_path / "new" / "large.bin", s3)
    assert contents(tmp_path) == {"new/large.bin": (root / "large.bin").read_bytes()}


def test_downloaded_data_give_the_same_episodes(
    root: Path, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bitwise, the manifest included: where the files lay for a while leaves no trace."""
    server.use(monkeypatch)
    tasks = image_tasks("datasets/birds")
    pin = resolve(root, pin_file(str(tasks.files)))
    monkeypatch.chdir(root)
    preprocess(tasks, tmp_path / "in place")
    (tmp_path / "pod").mkdir()
    monkeypatch.chdir(tmp_path / "pod")
    episodes = Dataset(uri=str(tmp_path / "downloaded"))
    component.preprocess.python_func(to_json(tasks), episodes, to_json(pin))
    assert contents(tmp_path / "downloaded") == contents(tmp_path / "in place")
    assert contents(tmp_path / "pod") == {}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("damaged", [b"secone", b"seco", b""])
def test_damaged_objects_are_not_kept(s3: S3Client, tmp_path: Path, damaged: bytes) -> None:
    """Other bytes under the right name: after some tries one line, and what was in place stays."""
    first, second = stored(s3, b"first"), stored(s3, b"second")
    pin = stored_list(s3, [{"md5": first.md5, "relpath": "1"}, {"md5": second.md5, "relpath": "2"}])
    s3.put_object(Bucket=BUCKET, Key=key(second.md5), Body=damaged)
    write_files(tmp_path / "target", {"before": b"before"})
    found = hashlib.md5(damaged, usedforsecurity=False).hexdigest()
    for wanted, target in ((pin, tmp_path / "target"), (second, tmp_path / "2")):
        with pytest.raises(S3TransferError) as caught:
            download(wanted, target, s3)
        assert str(caught.value) == (
            f"s3://{BUCKET}/{key(second.md5)}: arrives with the md5 {found}; "
            "expected what `dvc push` put there"
        )
    assert contents(tmp_path) == {"target/before": b"before"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@contextmanager
def breaking(server: S3Server, cuts: int) -> Iterator[tuple[Proxy, S3Client]]:
    """A client whose first `cuts` connections break off."""
    with proxy(server, AFTER, cuts) as between, pytest.MonkeyPatch.context() as patch:
        server.use(patch, AWS_ENDPOINT_URL=between.endpoint)
        with closing(client()) as made:
            yield between, made


def test_only_the_lost_piece_of_a_large_file_is_fetched_again(
    root: Path, server: S3Server, tmp_path: Path
) -> None:
    """A connection that breaks off costs a piece; the whole is compared with its md5 as ever."""
    with breaking(server, cuts=1) as (between, made):
        download(resolve(root, "large.bin.dvc"), tmp_path / "large.bin", made)
    assert (tmp_path / "large.bin").read_bytes() == (root / "large.bin").read_bytes()
    assert between.cuts == 0
    assert LARGE < between.sent < LARGE + 2 * AFTER


@pytest.mark.usefixtures("impatient")
def test_a_download_outlasts_many_broken_connections(server: S3Server, s3: S3Client, tmp_path: Path) -> None:
    """Oftener than boto3 puts up with by itself."""
    written = os.urandom(2 * AFTER)
    pin = stored_list(s3, [{"md5": stored(s3, written).md5, "relpath": "file"}])
    with breaking(server, cuts=7) as (between, made):
        download(pin, tmp_path / "target", made)
    assert contents(tmp_path) == {"target/file": written}
    assert between.cuts == 0


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_always_breaks_off(root: Path, server: S3Server, tmp_path: Path) -> None:
    """One line in the end, and nothing left."""
    with breaking(server, cuts=1_000_000) as (between, made), pytest.raises(S3TransferError) as caught:
        download(resolve(root, "large.bin.dvc"), tmp_path / "large.bin", made)
    assert str(caught.value).endswith(
        f": breaks off on its way from {between.endpoint} (RetriesExceededError); expected all of it"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "sesame"}, S3RefusedError),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, S3UnreachableError),
    ],
)
def test_a_server_that_gives_nothing(
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    change: dict[str, str],
    error: type[S3Error],
) -> None:
    """What the client says (tests/components/storage/test_s3.py) is passed on, and nothing is written."""
    server.use(monkeypatch, **change)
    with closing(client()) as made, pytest.raises(error):
        download(Pin("a" * 32 + ".dir", REMOTE), tmp_path / "target", made)
    assert list(tmp_path.iterdir()) == []


FORGED = ["../x", "/tmp/x", "a/../../x", "", ".", "./a", "a//b", "a/", "a\0b"]  # noqa: S108


@pytest.mark.parametrize("relpath", FORGED)
def test_paths_that_leave_the_folder_are_refused(s3: S3Client, tmp_path: Path, relpath: str) -> None:
    """A forged list writes nothing, anywhere."""
    pin = stored_list(s3, [{"md5": stored(s3, b"first").md5, "relpath": relpath}])
    with pytest.raises(InputError) as caught:
        download(pin, tmp_path / "deep" / "target", s3)
    assert str(caught.value) == (
        f"s3://{BUCKET}/{key(pin.md5)}: 0.relpath: expected a path inside the folder (found {relpath!r})"
    )
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a" * 32, "x"), ("b" * 32, "x")], "lists a path twice; expected every file once"),
        ([("a" * 32, "x"), ("b" * 32, "x/y")], "lists a path twice"),
        ([("../" + "a" * 29, "x")], "0.md5: String should match pattern"),
        ([("A" * 32, "x")], "0.md5: String should match pattern"),
    ],
)
def test_lists_that_make_no_sense_are_refused(
    s3: S3Client, tmp_path: Path, entries: list[tuple[str, str]], message: str
) -> None:
    """Before any file is fetched."""
    pin = stored_list(s3, [{"md5": md5, "relpath": relpath} for md5, relpath in entries])
    with pytest.raises(InputError, match=message):
        download(pin, tmp_path / "target", s3)
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_is_none(s3: S3Client, tmp_path: Path) -> None:
    """Not JSON at all."""
    with pytest.raises(InputError, match="Invalid JSON"):
        download(stored(s3, b"\xff no list", ".dir"), tmp_path / "target", s3)


def test_an_empty_folder(s3: S3Client, tmp_path: Path) -> None:
    """It is a folder, too."""
    download(stored_list(s3, []), tmp_path / "target", s3)
    assert list((tmp_path / "target").iterdir()) == []


def test_a_pin_of_another_remote(s3: S3Client, tmp_path: Path) -> None:
    """A pod that is handed something else says so."""
    pin = replace(Pin("a" * 32, REMOTE), remote="http://host/x")
    with pytest.raises(
        InputError, match=r"^pinned\.remote: is no address of S3; expected s3://bucket/prefix$"
    ):
        download(pin, tmp_path / "target", s3)


def test_many_files_say_how_far_they_are(
    s3: S3Client, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each percent, not for each file."""
    monkeypatch.setenv(PROGRESS, READ)
    entries = [{"md5": stored(s3, b"same").md5, "relpath": f"{i}"} for i in range(250)]
    download(stored_list(s3, entries), tmp_path / "target", s3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "::progress::download|2|250|"
    assert lines[-1] == "::progress::download|250|250|"
    assert len(lines) == 125
    assert len(contents(tmp_path / "target")) == 250
