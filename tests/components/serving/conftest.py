"""Servers that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.components.serving.service_client import (
    Client,
    curves_model,
    pictures_model,
    policy_model,
    serving,
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(pictures_model()) as found:
        yield found


@pytest.fixture(scope="module")
def curves() -> Iterator[Client]:
    with serving(curves_model()) as found:
        yield found


@pytest.fixture(scope="module")
def policy() -> Iterator[Client]:
    with serving(policy_model()) as found:
        yield found
