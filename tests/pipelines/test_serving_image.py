"""The small serving image, built and run by a real engine; without one these tests skip, but not in CI."""

import os
import subprocess
from collections.abc import Iterator

import docker
import pytest

from pipelines.image import BASE
from tests.components.serving.service_client import (
    ABC,
    Client,
    encoded,
    pictures_model,
    png,
    served_checkpoint,
    serving,
)
from tests.pipelines.checkout import ROOT, require_engine, unavailable
from tests.pipelines.contained_server import contained_server

IMAGE = "metasgd-serving:tested"


@pytest.fixture(scope="module")
def image() -> str:
    require_engine()
    base = os.environ.get("IMAGE_BASE", BASE)
    command = ["make", "-o", "setup", "image-serving", f"IMAGE={IMAGE}", f"IMAGE_BASE={base}"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if built.returncode:
        unavailable(f"the image cannot be built: {built.stderr[-500:]}")
    return IMAGE


@pytest.fixture(scope="module")
def client(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = served_checkpoint(tmp_path_factory.mktemp("model") / "checkpoint")
    with contained_server(image, folder) as found:
        yield found


def test_the_container_answers_as_this_interpreter(client: Client) -> None:
    """The same classes and probabilities for pictures, from a root that is read-only."""
    pictures = [{"picture": encoded(png(seed=seed))} for seed in range(1, 9)]
    support = [{"class": name, **picture} for name, picture in zip([*ABC, *ABC], pictures, strict=False)]
    body = {"tasks": [{"support": support, "queries": pictures[6:]}], "probabilities": True}
    with serving(pictures_model()) as here:
        assert client.ok("/predict", body) == here.ok("/predict", body)


def test_it_holds_what_serves_and_no_installer(image: str) -> None:
    client = docker.from_env()
    command = "id -u; for c in pip uv git; do command -v $c; done; ls /app"
    said = client.containers.run(
        image, ["sh", "-c", command], remove=True, network_mode="none", read_only=True
    )
    client.close()
    assert said.decode().split() == ["1000", "components", "metasgd"]
