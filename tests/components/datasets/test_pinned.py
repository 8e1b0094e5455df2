"""Pinned data: what `dvc push` put on a real server is fetched byte for byte without DVC, or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kfp.dsl import Dataset
from tenacity import wait_none

from components.config.parsing import from_json, to_json
from components.config.settings import StoredTasks, TaskSettings
from components.datasets import pinned
from components.datasets.pinned import (
    Pin,
    download,
    missing,
    pin_file,
    remote_endpoint,
    require_present,
    resolve,
)
from components.datasets.placement import make_data_set
from components.kinds.images import ImageTasks
from components.preprocess import component
from components.preprocess.step import preprocess
from components.storage.s3 import (
    S3Client,
    S3Error,
    S3MissingError,
    S3RefusedError,
    S3TransferError,
    S3UnreachableError,
    client,
)
from metasgd.configuration import EpisodeSettings
from metasgd.errors import InputError
from tests.components.datasets.helpers import image_source, png, write_files
from tests.components.lane import experiment
from tests.s3_server import BUCKET, Proxy, S3Server, proxy, s3_server

LARGE = 20 << 20  # bytes: more than boto3 fetches in one piece
AFTER = 100_000  # bytes of a connection that breaks off
PREFIX = "team/store"
REMOTE = f"s3://{BUCKET}/{PREFIX}"
FILES = {
    "class a/1.png": png(10),
    "class a/2.png": png(20),
    "b/c/same as 1.png": png(10),
    "empty": b"",
    "list.csv": b"1,2\n" * 1000,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def s3(server: S3Server) -> Iterator[S3Client]:
    with server.client() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once."""
    monkeypatch.setattr(pinned._fetch.retry, "wait", wait_none())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def key(md5: str) -> str:
    return f"{PREFIX}/files/md5/{md5[:2]}/{md5[2:]}"


def stored(s3: S3Client, contents: bytes, suffix: str = "") -> Pin:
    """Put an object where DVC would, and pin it."""
    md5 = hashlib.md5(contents, usedforsecurity=False).hexdigest() + suffix
    s3.put_object(Bucket=BUCKET, Key=key(md5), Body=contents)
    return Pin(md5, REMOTE)


def stored_list(s3: S3Client, entries: list[dict[str, str]]) -> Pin:
    """The same for a folder's list."""
    return stored(s3, json.dumps(entries).encode(), ".dir")


def image_tasks(path: Path | str, name: str = "folder") -> ImageTasks:
    """Small episodes from a folder of class folders."""
    return ImageTasks(
        kind="images",
        source=image_source(name, path),
        distribution=EpisodeSettings(ways=2, shots=1, queries=1),
        stored=StoredTasks(validation=2, gate=2, test=3, test_shots=[1, 2], test_queries=2),
        seed=3,
    )


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


@pytest.mark.parametrize(
    ("tasks", "file"),
    [
        (experiment().tasks, None),
        (image_tasks("data", "glyphs"), None),
        (image_tasks("data", "omniglot"), "data.dvc"),
        (image_tasks("datasets/birds/"), "datasets/birds.dvc"),
    ],
)
def test_which_file_pins_an_experiments_data(tasks: TaskSettings, file: str | None) -> None:
    """The one beside the folder; none for what is drawn or generated."""
    assert (pin_file(tasks.files) if tasks.files else None) == file


def test_a_pin_holds_no_secret(root: Path, server: S3Server) -> None:
    """The hash of all contents and the remote: the same for everybody, so that caches hit."""
    pin = resolve(root, "data.dvc")
    assert pin.md5 in (root / "data.dvc").read_text()
    assert pin.md5.endswith(".dir")
    assert json.loads(to_json(pin)) == {"md5": pin.md5, "remote": REMOTE}
    assert remote_endpoint(root) == server.endpoint


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "^DVC has no default remote; expected one, as by `dvc remote add -d NAME s3://bucket/prefix`$"),
        ("url = ../folder", "^the DVC remote: is no address of S3; expected s3://bucket/prefix$"),
        ("url = https://user:sesame@host/x", "^the DVC remote: is no address of S3; expected s3://"),
    ],
)
def test_remotes_that_pods_cannot_read(tmp_path: Path, config: str, message: str) -> None:
    """Refused when a run is submitted; what the address holds is not shown."""
    settings = f"    remote = store\n['remote \"store\"']\n    {config}\n" if config else ""
    write_files(tmp_path, {".dvc/config": f"[core]\n    no_scm = true\n{settings}".encode()})
    write_files(tmp_path, {"data.dvc": f"outs:\n- md5: {'a' * 32}.dir\n  hash: md5\n  path: data\n".encode()})
    with pytest.raises(InputError, match=message):
        resolve(tmp_path, "data.dvc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "^data.dvc: no such file; expected pinned data, by `make data` or `dvc add`$"),
        ("outs: [", "^data.dvc: pins nothing by its md5; expected what `dvc add` of DVC 3 writes$"),
        ("outs: []", "pins nothing by its md5"),
        (f"outs:\n- md5: {'a' * 32}.dir\n  path: data", "pins nothing by its md5"),
        ("outs:\n- md5: ../../x\n  hash: md5\n  path: data", r"^data.dvc: md5: .*\(found '../../x'\)$"),
    ],
)
def test_files_that_pin_nothing(root: Path, tmp_path: Path, text: str | None, message: str) -> None:
    """A file that is missing, damaged, of an older DVC, or forged."""
    here = tmp_path / "repository"
    write_files(here, {".dvc/config": (root / ".dvc/config").read_bytes()})
    if text is not None:
        write_files(here, {"data.dvc": text.encode()})
    with pytest.raises(InputError, match=message):
        resolve(here, "data.dvc")


def test_everything_pushed_is_present(root: Path, s3: S3Client) -> None:
    """Nothing to say."""
    for file in ("data.dvc", "datasets/birds.dvc", "large.bin.dvc"):
        require_present(resolve(root, file), s3)


def test_what_was_not_pushed_is_missing(s3: S3Client, tmp_path: Path) -> None:
    """Found by name before a run, and by the download; nothing is left of the files that were there."""
    first, second = stored(s3, b"first"), Pin("b" * 32, REMOTE)
    files = {"1": first, "2": second, "3": second}
    pin = stored_list(s3, [{"md5": file.md5, "relpath": name} for name, file in files.items()])
    lacking = Pin("c" * 32 + ".dir", REMOTE)
    for wanted, name in ((pin, second.md5), (second, second.md5), (lacking, lacking.md5)):
        assert missing(wanted, s3) == [f"files/md5/{name[:2]}/{name[2:]}"]
        message = (
            f"{REMOTE}: 1 of the pinned objects missing, first files/md5/{name[:2]}/{name[2:]}; "
            "expected all of them: run `dvc push`"
        )
        with pytest.raises(S3MissingError) as caught:
            require_present(wanted, s3)
        assert str(caught.value) == message
        with pytest.raises(S3MissingError) as caught:
            download(wanted, tmp_path / "target", s3)
        assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


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
    s3: S3Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each percent, not for each file."""
    entries = [{"md5": stored(s3, b"same").md5, "relpath": f"{i}"} for i in range(250)]
    download(stored_list(s3, entries), tmp_path / "target", s3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "::progress::download|2|250|"
    assert lines[-1] == "::progress::download|250|250|"
    assert len(lines) == 125
    assert len(contents(tmp_path / "target")) == 250
