"""What a pin is: found beside the data, readable by pods, without secrets, and whether all of it is there."""

import json
from pathlib import Path

import pytest

from components.config.parsing import to_json
from components.config.settings import TaskSettings
from components.datasets.pinned import (
    Pin,
    download,
    missing,
    pin_file,
    remote_endpoint,
    require_present,
    resolve,
)
from components.storage.s3 import (
    S3Client,
    S3MissingError,
)
from metasgd.errors import InputError
from tests.components.datasets.helpers import write_files
from tests.components.datasets.pinned.objects import REMOTE, image_tasks, stored, stored_list
from tests.components.lane import experiment
from tests.s3_server import S3Server


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
