"""A Kubeflow API on loopback, and a client that it knows."""

from collections.abc import Iterator

import pytest

from pipelines.kubeflow import creation
from pipelines.kubeflow.endpoint import Endpoint
from pipelines.kubeflow.server import Kubeflow, connect
from tests.pipelines.kubeflow.kfp_server import TOKEN, Answers, serve


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may have been made is looked for without a pause."""
    monkeypatch.setattr(creation, "PAUSE", 0.0)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def host(answers: Answers) -> Iterator[str]:
    with serve(answers) as address:
        yield address


@pytest.fixture
def kubeflow(host: str) -> Kubeflow:
    return connect(Endpoint(host, None, TOKEN))
