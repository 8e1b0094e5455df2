"""A lane that nobody interrupted, which the others have to equal."""

from collections.abc import Iterator

import pytest
from mlflow import MlflowClient

from tests.components.lane import Lane, store


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A lane whose Meta-SGD was trained in peace."""
    folder = tmp_path_factory.mktemp("lane")
    with store(folder):
        made = Lane(folder)
        made.train()
        yield made


@pytest.fixture
def client(lane: Lane) -> Iterator[MlflowClient]:
    with store(lane.root) as found:
        yield found
