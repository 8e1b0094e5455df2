"""The command: it serves until a signal, and wrong options are one line."""

import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests

from components.config.code import ROOT
from components.serving.serve import _listener
from tests.components.serving.service_client import ABC, Client, served_checkpoint, support_of


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "components.serving.serve", *arguments]


def test_the_command_serves_until_a_signal(tmp_path: Path) -> None:
    """It says where; another on its port ends with one line; SIGTERM, like Ctrl-C, is no error."""
    folder = served_checkpoint(tmp_path / "checkpoint")
    with subprocess.Popen(
        command(str(folder), "--port", "0"), cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"checkpoint: (http://127\.0\.0\.1:(\d+)), described at \1/docs;", said)
        assert found, said
        with requests.Session() as session:
            client = Client(found[1], session)
            assert client.get("/health").json() == {"status": "ok"}
            assert client.ok("/adapt", {"support": support_of(ABC)})["classes"] == ["a", "b", "c"]
            second = subprocess.run(
                command(str(folder), "--port", found[2]),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (second.returncode, second.stdout) == (2, "")
            assert (
                second.stderr
                == f"error: --port {found[2]} on 127.0.0.1: Address already in use; expected a free port\n"
            )
            process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "ended\n", "")


WRONG_COMMANDS = {
    "port": (["x", "--port", "65536"], "--port is 65536; expected 0 to 65535"),
    "tasks": (["x", "--most-tasks", "0"], "--most-tasks is 0; expected 1 or more"),
    "megabytes": (["x", "--most-megabytes", "0"], "--most-megabytes is 0; expected 1 or more"),
    "minutes": (["x", "--minutes", "-1"], "--minutes is -1; expected 1 to 525600"),
    "host": (
        ["x", "--host", "no.such.host.invalid"],
        "--host is 'no.such.host.invalid'; expected an address",
    ),
    "elsewhere": (["x", "--host", "192.0.2.1"], "--port 8080 on 192.0.2.1: Cannot assign requested address"),
}


@pytest.mark.parametrize("wrong", WRONG_COMMANDS)
def test_a_wrong_command_ends_with_one_line(wrong: str) -> None:
    arguments, message = WRONG_COMMANDS[wrong]
    finished = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: {message}")
    assert finished.stderr.count("\n") == 1


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """What the server listens on hands TCP_NODELAY to its connections."""
    with closing(_listener("127.0.0.1", 0)) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
