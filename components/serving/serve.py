"""python -m components.serving.serve MODEL [--port 8080]: a model over HTTP, on loopback."""

import argparse
import gc
import socket
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from components.console.command import require_model, run_command
from components.console.listening import LOOPBACK, listen
from components.console.signals import Stop, stoppable
from components.serving.names import legible
from metasgd.errors import InputError

if TYPE_CHECKING:
    from components.serving.bodies import Limits

MEGABYTE = 1_000_000
YEAR = 365 * 24 * 60  # minutes
GRACE = 10  # seconds that requests in progress have left once a signal has asked for the end


def main(arguments: Sequence[str] | None = None) -> None:
    """Raises InputError, in one line whatever stands in names."""
    options = _parser().parse_args(arguments)
    require_model(options.model)
    try:
        _require_sense(options)
        # A port that is taken shows before the model is loaded; who connects meanwhile waits.
        with stoppable() as stop, closing(_listener(options.host, options.port)) as listener:
            _serve(options, listener, stop)
    except InputError as error:
        raise InputError(legible(str(error))) from None


def _serve(options: argparse.Namespace, listener: socket.socket, stop: Stop) -> None:
    """Until SIGTERM or Ctrl-C, which are the usual ends and no errors."""
    import torch
    import uvicorn

    from components.serving.models import open_model
    from components.serving.service import create_app

    torch.set_num_threads(1)  # of each request; several are computed side by side
    model = open_model(options.model, options.version, options.alias)
    stop.check()
    config = uvicorn.Config(
        create_app(model, _limits(options)), log_level="warning", access_log=False, server_header=False,
        ws="none", timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    which = f"{model.name} version {model.version}" if model.version else model.name
    address = _address(options.host, listener)
    print(f"{which}: {address}, described at {address}/docs; Ctrl-C ends it", flush=True)
    gc.freeze()  # or lists in requests have the collector walk through all that the libraries hold
    uvicorn.Server(config).run(sockets=[listener])
    gc.unfreeze()
    print("ended", flush=True)


def _limits(options: argparse.Namespace) -> "Limits":
    from components.serving.bodies import Limits

    return Limits(options.most_tasks, options.most_megabytes * MEGABYTE, options.minutes * 60)


def _listener(host: str, port: int) -> socket.socket:
    made = listen(host, port)
    # Connections inherit it; asyncio sets it only on sockets of its own making. Without it, an answer
    # waits 40 ms for the client to acknowledge its first part.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _address(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _require_sense(options: argparse.Namespace) -> None:
    for name in ("most_tasks", "most_megabytes"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(options, name)}; expected 1 or more")
    if not 1 <= options.minutes <= YEAR:
        raise InputError(f"--minutes is {options.minutes}; expected 1 to {YEAR}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.serving.serve",
        description="Serve a model over HTTP: it adapts to the examples of a request, and predicts others.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a registered model, or a checkpoint folder")
    parser.add_argument("--version", help="of a registered model; otherwise its champion")
    parser.add_argument("--alias", help="of a registered model, in place of champion")
    parser.add_argument("--host", default=LOOPBACK, help="the address to listen on; 0.0.0.0 is all")
    parser.add_argument("--port", type=int, default=8080, help="the port there; 0 is any that is free")
    parser.add_argument(
        "--most-tasks", type=int, default=256, metavar="N", help="adapted tasks that are kept"
    )
    parser.add_argument(
        "--most-megabytes",
        type=int,
        default=512,
        metavar="N",
        help="memory of the adapted tasks that are kept",
    )
    parser.add_argument(
        "--minutes", type=int, default=60, metavar="N", help="that adapted tasks are kept for"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
