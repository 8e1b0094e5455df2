"""S3 servers: addresses, a client from the environment, and every failure as one line without the keys."""

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.storage.s3 import (
    Place,
    S3CredentialsError,
    S3Error,
    S3MissingError,
    S3RefusedError,
    S3UnreachableError,
    client,
    has_object,
    parse,
    s3_errors,
)
from components.tracking.runs import open_run
from metasgd.errors import InputError
from tests.components.lane import store
from tests.loopback import ANY_PORT, Quiet, free_port, running
from tests.s3_server import BUCKET, S3Server, s3_server

OBJECT = Place(BUCKET, "folder/object")
SECRET = "sesame-open"  # of nobody
BAD = "bucket/a http://bucket/a s3:/bucket s3:// s3:///a s3://b/a s3://bucket//a s3://bucket/../a s3://bucket/a/./b"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that holds one object."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        with running.client() as made:
            made.put_object(Bucket=OBJECT.bucket, Key=OBJECT.key, Body=b"contents")
        yield running


def line(place: Place = OBJECT) -> tuple[type, str]:
    """What the environment's client says of a place: one line, without credentials, and the only one."""
    with pytest.raises(S3Error) as caught, closing(client()) as made:
        has_object(made, place)
    message = str(caught.value)
    assert "\n" not in message
    assert "; expected " in message
    # A traceback shows what an error was raised from, too, and boto3 quotes requests with their keys.
    shown = "".join(traceback.format_exception(caught.value))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert os.environ.get(name, SECRET).strip() not in shown
    return type(caught.value), message


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

    server = ThreadingHTTPServer(ANY_PORT, Handler)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


def free_address() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket", Place("bucket")),
        ("s3://bucket/", Place("bucket")),
        ("s3://my.bucket-1/a/b", Place("my.bucket-1", "a/b")),
        ("s3://bucket/a/b//", Place("bucket", "a/b")),
    ],
)
def test_places(url: str, place: Place) -> None:
    """Bucket and prefix, without the slashes at its ends; names go below."""
    assert parse(url, "here") == place
    assert str(place) == url.rstrip("/")
    assert place / "x" == Place(place.bucket, f"{place.key}/x".lstrip("/"))


@pytest.mark.parametrize("url", ["", "s3://bucket/a\nb", f"s3://key:{SECRET}@bucket/a", *BAD.split()])
def test_no_places(url: str) -> None:
    """Anything else is refused, and not shown, as it may hold credentials."""
    with pytest.raises(InputError) as caught:
        parse(url, "kubeflow.states")
    assert str(caught.value) == "kubeflow.states: is no address of S3; expected s3://bucket/prefix"


def test_objects_are_found(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's keys and address are enough; an address that is given comes first."""
    server.use(monkeypatch)
    with closing(client()) as made:
        assert has_object(made, OBJECT)
        assert not has_object(made, Place(BUCKET, "folder/other"))
    server.use(monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    with closing(client(server.endpoint)) as made:
        assert has_object(made, OBJECT)


def test_a_server_with_an_address_is_asked_in_path_style(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket stands in the path: <bucket>.<host> is no name that a cluster resolves."""
    server.use(monkeypatch, AWS_ENDPOINT_URL="http://minio:9000")
    with closing(client()) as made:
        url = made.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "object"})
    assert url.startswith(f"http://minio:9000/{BUCKET}/object?")


@pytest.mark.parametrize("change", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_refused_credentials(server: S3Server, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A wrong key or secret is not taken for anything else."""
    server.use(monkeypatch, **{change: SECRET})
    kind, message = line()
    assert kind is S3RefusedError
    assert message == (
        f"s3://bucket/folder/object: {server.endpoint} refuses the credentials (403); "
        "expected an access key with rights there"
    )
    with pytest.raises(S3RefusedError) as caught, closing(client()) as made, s3_errors(made, OBJECT):
        made.get_object(Bucket=OBJECT.bucket, Key=OBJECT.key)
    assert server.secret not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_no_credentials(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys, no request is made."""
    server.use(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    kind, message = line()
    assert kind is S3CredentialsError
    assert message == (
        "s3://bucket/folder/object: no credentials (NoCredentialsError); "
        "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def test_credentials_that_no_request_can_carry(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with a line break, as a secret made with `echo` has it; boto3 would quote it."""
    server.use(monkeypatch, AWS_ACCESS_KEY_ID=f"{server.key}\n")
    assert "expected credentials without spaces and line breaks" in line()[1]


def test_an_absent_server(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: that is no refusal. A password in the address is not shown."""
    address = free_address()
    server.use(monkeypatch, AWS_ENDPOINT_URL=address.replace("//", f"//user:{SECRET}@"))
    kind, message = line()
    assert kind is S3UnreachableError
    assert message == (
        f"s3://bucket/folder/object: {address} is not reachable (EndpointConnectionError); "
        "expected an S3 server"
    )


def test_a_missing_bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a missing object."""
    server.use(monkeypatch)
    kind, message = line(Place("other", "object"))
    assert kind is S3Error
    assert message == (
        f"s3://other/object: {server.endpoint} has no bucket 'other'; expected one that exists"
    )


def test_a_missing_object(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its whole address, and the server's."""
    server.use(monkeypatch)
    message = rf"^s3://bucket/other: no such object at {server.endpoint}; expected one$"
    place = Place(BUCKET, "other")
    with closing(client()) as made, pytest.raises(S3MissingError, match=message), s3_errors(made, place):
        made.get_object(Bucket=BUCKET, Key="other")


def test_an_upload_that_fails_says_why(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """boto3 wraps the reason of a failed upload; it is the reason that counts."""
    (tmp_path / "file").write_bytes(b"contents")
    server.use(monkeypatch, AWS_SECRET_ACCESS_KEY=SECRET)
    with closing(client()) as made, pytest.raises(S3RefusedError), s3_errors(made, OBJECT):
        made.upload_file(str(tmp_path / "file"), OBJECT.bucket, OBJECT.key)


@pytest.mark.parametrize(
    ("status", "message"), [(200, "answers without an ETag"), (302, "cannot be asked"), (418, "answers 418")]
)
def test_something_else_answers(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    """A login page that says yes to everything, a redirection to one, or a server that speaks no S3."""
    with answering(status) as address:
        server.use(monkeypatch, AWS_ENDPOINT_URL=address)
        assert re.search(rf"{address} {message}.*; expected an S3 server$", line()[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_ENDPOINT_URL": "localhost:9000"}, "address is no URL; expected http://host:port"),
        ({"AWS_PROFILE": "nobody"}, r"profile \(nobody\) could not be found; expected settings"),
    ],
)
def test_settings_that_boto3_cannot_use(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    """The environment itself is wrong."""
    server.use(monkeypatch, **change)
    with pytest.raises(InputError, match=message):
        client()


def test_runs_of_mlflow_keep_their_files_there(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An artifact place on S3 needs MLFLOW_S3_ENDPOINT_URL and the keys, and nothing of ours."""
    server.use(monkeypatch)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", server.endpoint)
    (tmp_path / "weights").write_text("1 2 3")
    with store(tmp_path) as tracking:
        tracking.create_experiment("sinusoid", artifact_location=f"s3://{BUCKET}/mlflow")
        with open_run("sinusoid", "a run", {}) as run:
            run.log_file(tmp_path / "weights", "checkpoint")
        kept = server.folder / BUCKET / "mlflow" / run.run_id / "artifacts/checkpoint/weights"
        assert kept.read_text() == "1 2 3"
        assert [file.path for file in tracking.list_artifacts(run.run_id, "checkpoint")] == [
            "checkpoint/weights"
        ]
