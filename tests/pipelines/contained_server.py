"""A model served in a container, as the pods of `make deploy` run it, by a real engine."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import requests

from pipelines.kubeflow.serving_pod import TEMPORARY
from tests.components.serving.service_client import Client
from tests.pipelines.serving_objects import containers

MODEL = "/model"


@contextmanager
def contained_server(image: str, checkpoint: Path) -> Iterator[Client]:
    """The container of the Deployment, with its command, user and rights; the model is a mounted folder."""
    container = containers(MODEL.strip("/"))[-1]
    client = docker.from_env()
    running = client.containers.run(
        image,
        [*container["command"], MODEL, *container["args"][1:]],
        detach=True,
        volumes={str(checkpoint): {"bind": MODEL, "mode": "ro"}},
        ports={f"{port['containerPort']}/tcp": ("127.0.0.1", None) for port in container["ports"]},
        tmpfs={TEMPORARY: ""},
        **_rights(container["securityContext"]),
    )
    try:
        with closing(running.logs(stream=True, follow=True)) as lines:
            said = next(lines).decode()  # it listens
        assert re.search("described at http.*/docs", said), said
        running.reload()
        (port,) = (bound[0]["HostPort"] for bound in running.ports.values() if bound)
        with requests.Session() as session:
            found = Client(f"http://127.0.0.1:{port}", session)
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert found.get(container[probe]["httpGet"]["path"]).ok
            yield found
    finally:
        running.remove(force=True)
        client.close()


def _rights(context: dict[str, Any]) -> dict[str, Any]:
    """Kubernetes' securityContext in the engine's words."""
    return {
        "user": f"{context['runAsUser']}:{context['runAsGroup']}",
        "read_only": context["readOnlyRootFilesystem"],
        "cap_drop": context["capabilities"]["drop"],
        "security_opt": ["no-new-privileges"],
    }
