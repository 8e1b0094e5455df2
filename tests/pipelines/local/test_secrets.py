"""A password in the tracking store's address reaches no terminal, no log, no parameter and no page."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.lane import empty_store
from tests.mlflow_server import MlflowServer, Relay, mlflow_server, relay
from tests.pipelines.checkout import make_checkout, run

CANARY = "sesame-canary"
SMALL = [
    "train.iterations=2",
    "train.validate_every=2",
    "train.threads=1",
    "tasks.stored={validation: 3, gate: 5, test: 6, test_shots: [5], test_queries: 4}",
    "compare=[maml]",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_store()) as running:
        yield running


@pytest.fixture
def between(server: MlflowServer) -> Iterator[Relay]:
    with relay(server.port) as running:
        yield running


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


def pipeline(checkout: Path, between: Relay) -> subprocess.CompletedProcess[str]:
    address = between.address.replace("//", f"//user:{CANARY}@")
    return run(
        checkout, "pipelines", "--experiments", "sinusoid-5shot", "--set", *SMALL,
        MLFLOW_TRACKING_URI=address, METASGD_PATIENCE="1", KFP_TOKEN=CANARY,
    )  # fmt: skip


def leaks(checkout: Path, server: MlflowServer, done: subprocess.CompletedProcess[str]) -> list[str]:
    """Where the canary is: in what was printed, in what was written here, or in MLflow's own files."""
    found = ["printed"] if CANARY in done.stdout + done.stderr else []
    files = [*(checkout / ".local").rglob("*"), *server.folder.rglob("*")]
    return found + [str(path) for path in files if path.is_file() and CANARY.encode() in path.read_bytes()]


def test_a_run_that_goes_well(checkout: Path, server: MlflowServer, between: Relay) -> None:
    """On a real server, whose own address MLflow would print with every run that ends."""
    done = pipeline(checkout, between)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((checkout / ".local" / "runs").rglob("report.html"))
    assert leaks(checkout, server, done) == []


@pytest.mark.parametrize(("path", "status"), [("runs/log-batch", 503), ("registered-models/create", 403)])
def test_a_run_that_fails(
    checkout: Path, server: MlflowServer, between: Relay, path: str, status: int
) -> None:
    """One line, which names the store without its password; so does the log, traceback and all."""
    between.fault = lambda method, asked, body: status if path in asked else None
    done = pipeline(checkout, between)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert f"MLFLOW_TRACKING_URI {between.address}" in line
    assert leaks(checkout, server, done) == []
