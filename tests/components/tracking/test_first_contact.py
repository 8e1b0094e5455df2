"""The first contact with a tracking server: whatever is wrong with it is one line, without the password."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from components.tracking.client import connect
from metasgd.errors import InputError
from tests.loopback import ANY_PORT, Quiet, free_port, running

SECRET = "sesame"  # of a server that lives for one test


def refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    """The one line about a server that cannot be used, which never holds the password."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError) as caught:
        connect()
    message = str(caught.value)
    assert message.startswith("MLFLOW_TRACKING_URI http://127.0.0.1:")
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_an_absent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: refused at once, without MLflow's minutes of retries, and without the password."""
    message = refused(monkeypatch, f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    assert "not reachable" in message
    assert "expected a running MLflow server" in message


Answer = tuple[int, bytes]


@contextmanager
def server(answer: Callable[[str, str | None], Answer]) -> Iterator[int]:
    """An HTTP server on loopback; answer(path, authorization) -> (status, body). Gives its port."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the name that http.server calls

    answering = ThreadingHTTPServer(ANY_PORT, Handler)
    with running(answering):
        yield answering.server_port


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_server_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Wrong credentials, another service, or a broken one: the line holds the status."""
    with server(lambda path, authorization: (status, b"no\nentry")) as port:
        message = refused(monkeypatch, f"http://user:{SECRET}@127.0.0.1:{port}/")
    assert f"answers {status}; expected 200" in message


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"You are not\nauthenticated.", "error code 401"),
        (200, b"<html>Log in</html>", "not in a valid JSON format"),
        (500, b"broken", "500"),
    ],
)
def test_a_healthy_server_whose_api_fails(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, expected: str
) -> None:
    """/health answers 200 and the API does not: one line as well."""

    def answer(path: str, authorization: str | None) -> Answer:
        return (200, b"OK") if path == "/health" else (status, body)

    with server(answer) as port:
        assert expected in refused(monkeypatch, f"http://user:{SECRET}@127.0.0.1:{port}")


def test_missing_credentials_are_not_called_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda path, authorization: (401, b"who are you?")) as port:
        message = refused(monkeypatch, f"http://127.0.0.1:{port}")
    assert "asks for credentials, and none were given; expected MLFLOW_TRACKING_USERNAME" in message


def test_credentials_from_the_environment_open_the_whole_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy that wants a password everywhere, MLFLOW_TRACKING_USERNAME and _PASSWORD are enough."""
    wanted = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()

    def answer(path: str, authorization: str | None) -> Answer:
        return (200, b"{}") if authorization == wanted else (401, b"who are you?")

    with server(answer) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        connect()
