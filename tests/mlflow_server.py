"""A real MLflow tracking server on loopback that can be killed and started again, and a relay with faults."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.loopback import ANY_PORT, Quiet, free_port, running

# MLflow's own application; its command starts other processes besides, which takes longer.
SERVER = """
import socket, sys
from mlflow.server import app
from werkzeug.serving import make_server

listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("127.0.0.1", int(sys.argv[1])))
listening.listen(128)
server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, fd=listening.fileno())
print(flush=True)
server.serve_forever()
"""


@dataclass
class MlflowServer:
    """folder: its log and artifacts. database: its own, or that of clients who use it directly, too."""

    folder: Path
    database: Path
    port: int
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        store, artifacts = f"sqlite:///{self.database}", str(self.folder / "artifacts")
        settings = {
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(self.port)], env={**inherited, **settings},
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            pytest.fail((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@contextmanager
def mlflow_server(folder: Path, store: bytes | Path) -> Iterator[MlflowServer]:
    """store: a database, or the tables of a new one, which MLflow takes seconds to make."""
    database = store if isinstance(store, Path) else folder / "mlflow.db"
    if isinstance(store, bytes):
        database.write_bytes(store)
    server = MlflowServer(folder, database, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()


HUNG_UP, LOST = 0, -1
Fault = Callable[[str, str, bytes], int | None]


@dataclass
class Relay:
    """Between a client and the server.

    fault(method, path, body): a status to answer in the server's place, HUNG_UP for none, LOST for the
    server's own that never arrives, or None for that one. asked: "METHOD path" of every request.
    """

    target: int
    port: int = 0
    fault: Fault = lambda method, path, body: None
    asked: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def relay(target: int) -> Iterator[Relay]:
    settings = Relay(target)

    class Handler(Quiet, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relayed(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            settings.asked.append(f"{self.command} {path}")
            fault = settings.fault(self.command, path, body)
            if fault == LOST:
                self._asked(body)
            if fault in (HUNG_UP, LOST):
                self.close_connection = True
                return
            status, kind, answer = (fault, "text/plain", b"a fault") if fault else self._asked(body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _asked(self, body: bytes) -> tuple[int, str, bytes]:
            connection = HTTPConnection("127.0.0.1", settings.target)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, answer.getheader("Content-Type") or "text/plain", content

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relayed  # noqa: N815

    between = ThreadingHTTPServer(ANY_PORT, Handler)
    settings.port = between.server_port
    with running(between):
        yield settings
