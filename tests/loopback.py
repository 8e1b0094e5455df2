"""Servers of a test's own on loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread

ANY_PORT = ("127.0.0.1", 0)


class Quiet:
    """A handler that says nothing of what it is asked."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running(server: BaseServer) -> Iterator[None]:
    """Let it serve in a thread of its own, until the context ends."""
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind(ANY_PORT)
        return int(free.getsockname()[1])
