"""make ui: what it refuses before anything starts."""

import socket
from pathlib import Path

import pytest

from components.tracking import ui
from metasgd.errors import InputError


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("sys.argv", ["ui", "--port", str(port)])
        with pytest.raises(
            InputError, match=f"^--port {port} on 127.0.0.1: Address already in use; expected a free"
        ):
            ui.main()


def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["ui", "--port", "70000"])
    with pytest.raises(InputError, match=r"^--port is 70000; expected 0 to 65535$"):
        ui.main()
