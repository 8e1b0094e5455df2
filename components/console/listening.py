"""Ports of this machine that a command listens on."""

import os
import socket

from metasgd.errors import InputError

LOOPBACK = "127.0.0.1"
MOST_PORT = 65535


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises InputError for no port, one that is taken, and an address elsewhere."""
    if not 0 <= port <= MOST_PORT:
        raise InputError(f"--port is {port}; expected 0 to {MOST_PORT}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family)
    except (socket.gaierror, UnicodeError):
        raise InputError(f"--host is {host!r}; expected an address of this machine") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # without what Python adds to it
        raise InputError(f"--port {port} on {host}: {reason}; expected a free port") from None
