"""Data pinned by DVC, fetched from its S3 remote with neither git nor DVC: exactly those objects, or nothing.

`dvc push` stores contents under their md5, <remote>/files/md5/ab/cdef…. A folder is an object of its own,
whose md5 ends in ".dir": the list of its files' md5 and paths.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from boto3.s3.transfer import S3Transfer, TransferConfig
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from components.config.parsing import STRICT, from_document, from_json
from components.config.sources import ImageSource
from components.console.progress import progress
from components.datasets import versioning
from components.storage.s3 import (
    Place,
    S3Client,
    S3MissingError,
    S3TransferError,
    client,
    has_object,
    parse,
    s3_errors,
)
from metasgd.errors import InputError
from metasgd.files import whole_file, whole_folder

FOLDER = ".dir"
DOWNLOADS = 3  # of an object that breaks off or arrives damaged
THREADS = 10  # boto3's own number of connections
LINES = 100  # of progress, at most
# "classic": the other client that boto3 may pick has errors of its own.
TRANSFER = TransferConfig(max_concurrency=THREADS, preferred_transfer_client="classic")
MD5 = "^[0-9a-f]{32}$"  # checked, because it becomes part of a key


@dataclass(frozen=True, config=STRICT)
class Pin:
    """What a .dvc file stands for on any machine.

    md5: of one file, or with ".dir" of a folder's list.
    remote: s3://bucket/prefix of the DVC remote.
    """

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
    remote: str


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or str(path) != name or "\0" in name:
        raise ValueError("expected a path inside the folder")
    return name


@dataclass(frozen=True)
class _Entry:
    """A line of a folder's list; DVC may add further keys."""

    md5: Annotated[str, Field(pattern=MD5)]
    relpath: Annotated[str, AfterValidator(_inside)]


def pin_file(files: str) -> str:
    """The .dvc file of a folder or an archive: data -> data.dvc."""
    return f"{PurePosixPath(files)}.dvc"


def resolve(root: Path, file: str) -> Pin:
    """What a .dvc file pins, and the default remote that has it.

    Raises:
        InputError: no such file, one that pins nothing by md5, or no default remote on S3.
    """
    document = {"md5": _pinned_md5(root, file), "remote": str(parse(_remote(root).url, "the DVC remote"))}
    return from_document(Pin, document, file)


def remote_endpoint(root: Path) -> str | None:
    """The address of the default remote's S3 server; None leaves it to the environment, and then to AWS.

    Raises:
        InputError: no default remote.
    """
    return _remote(root).endpoint


def missing(pin: Pin, client: S3Client) -> list[str]:
    """The keys below the remote of the pinned objects that it lacks; a folder's own, where that is missing.

    Raises:
        S3Error: a remote that does not answer, or whose folder's list is damaged.
    """
    remote, first = _place(pin), _key(pin.md5)
    if not has_object(client, remote / first):
        return [first]
    if not pin.md5.endswith(FOLDER):
        return []
    names = sorted({_key(md5) for md5 in _files(pin, client).values()})
    with ThreadPoolExecutor(THREADS) as pool:
        present = pool.map(lambda name: has_object(client, remote / name), names)
        return [name for name, found in zip(names, present, strict=True) if not found]


def require_present(pin: Pin, client: S3Client) -> None:
    """Raises InputError where the remote lacks a pinned object."""
    if names := missing(pin, client):
        raise _not_pushed(_place(pin), names)


def download(pin: Pin, target: Path, client: S3Client) -> None:
    """Fetch a pinned folder or file, every object compared with its md5; all of it appears, or nothing.

    Raises:
        InputError: an object that is missing, stays damaged or breaks off again and again, a server that
            does not answer, or a list with paths that leave the folder.
    """
    if pin.md5.endswith(FOLDER):
        files = _files(pin, client)
        with whole_folder(target) as folder:
            _fetch_all(files, _place(pin), folder, client)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as file:
            _fetch_all({file.name: pin.md5}, _place(pin), file.parent, client)


@contextmanager
def at_hand(source: ImageSource, pin: Pin | None) -> Iterator[ImageSource]:
    """The source with its files: in place, or downloaded into a temporary folder."""
    if pin is None:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="metasgd-") as temporary, closing(client()) as s3:
        place = Path(temporary) / Path(source.path).name  # datasets/birds/birds.zip is found by its name
        download(pin, place, s3)
        yield replace(source, path=str(place))


def _fetch_all(files: Mapping[str, str], remote: Place, folder: Path, client: S3Client) -> None:
    """files: path below the folder -> md5."""
    every = max(1, len(files) // LINES)

    def fetch(name: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(transfer, client, remote, files[name], target)

    # Whatever raises here first stops the transfers, then the threads that wait for them.
    with (
        ThreadPoolExecutor(THREADS) as pool,
        S3Transfer(client, TRANSFER) as transfer,
        progress("download", len(files)) as report,
    ):
        for done, _ in enumerate(pool.map(fetch, files), start=1):
            if done % every == 0 or done == len(files):
                report(done, {})


@retry(
    retry=retry_if_exception_type(S3TransferError),
    stop=stop_after_attempt(DOWNLOADS),
    wait=wait_random_exponential(max=10),
    reraise=True,
)
def _fetch(transfer: S3Transfer, client: S3Client, remote: Place, md5: str, target: Path) -> None:
    """One object, compared with its md5. boto3 itself asks again, five times, for a piece that broke off."""
    place = remote / _key(md5)
    try:
        with s3_errors(client, place):
            transfer.download_file(place.bucket, place.key, str(target))
    except S3MissingError:
        raise _not_pushed(remote, [_key(md5)]) from None
    with target.open("rb") as file:
        found = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
    if found != md5.removesuffix(FOLDER):
        target.unlink()
        raise S3TransferError(f"{place}: arrives with the md5 {found}; expected what `dvc push` put there")


def _files(pin: Pin, client: S3Client) -> dict[str, str]:
    """Path -> md5 of every file in a pinned folder, by its list.

    Raises:
        InputError: a path that leaves the folder, or stands there twice.
    """
    place = _place(pin) / _key(pin.md5)
    with (
        tempfile.TemporaryDirectory(prefix="metasgd-") as temporary,
        S3Transfer(client, TRANSFER) as transfer,
    ):
        listed = Path(temporary) / "list"
        _fetch(transfer, client, _place(pin), pin.md5, listed)
        entries = from_json(list[_Entry], listed.read_text(errors="replace"), str(place))
    files = {entry.relpath: entry.md5 for entry in entries}
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    if len(files) < len(entries) or not folders.isdisjoint(files):
        raise InputError(f"{place}: lists a path twice; expected every file once")
    return files


def _remote(root: Path) -> versioning.Remote:
    remote = versioning.default_remote(root)
    if remote is None:
        raise InputError(
            "DVC has no default remote; expected one, as by `dvc remote add -d NAME s3://bucket/prefix`"
        )
    return remote


def _pinned_md5(root: Path, file: str) -> Any:
    """The md5 as it stands in a .dvc file."""
    path = root / file
    if not path.is_file():
        raise InputError(f"{file}: no such file; expected pinned data, by `make data` or `dvc add`")
    try:
        (out,) = yaml.safe_load(path.read_text())["outs"]
        kind, md5 = out["hash"], out["md5"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        kind = md5 = None
    if kind != "md5":
        raise InputError(f"{file}: pins nothing by its md5; expected what `dvc add` of DVC 3 writes")
    return md5


def _place(pin: Pin) -> Place:
    return parse(pin.remote, "pinned.remote")


def _key(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def _not_pushed(remote: Place, names: Sequence[str]) -> S3MissingError:
    return S3MissingError(
        f"{remote}: {len(names)} of the pinned objects missing, first {names[0]}; "
        "expected all of them: run `dvc push`"
    )
