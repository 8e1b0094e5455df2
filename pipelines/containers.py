"""The container runner: the compiled pipeline in kfp.local, each step in a container of the image.

As `pipelines.local`, it is a process of its own, started by the launcher. A container gets a root that
cannot be written, the checkout's .local and data at their own paths, and no network unless the stores
are servers.
"""

import os
import sys
from pathlib import Path
from typing import Any

import docker
from docker.types import DeviceRequest, Mount

from components.environment import COMPILED, PARENT, PIPELINE_RUN
from components.tracking import LOCAL, tracking_uri
from metasgd.errors import InputError
from pipelines.image import has_image

LABEL = "metasgd.run"
# What steps read: where they stand, and credentials. They reach containers as environment alone.
HANDED_ON = (PARENT, PIPELINE_RUN, "MLFLOW_", "AWS_", "METASGD_STATES")
READ = ("data", "datasets")


def require_image(image: str) -> None:
    """Raises InputError where no container engine answers, or it lacks the image."""
    if not has_image(image):
        raise InputError(f"IMAGE {image}: unknown to the container engine; expected `make image`")


def container_arguments(checkout: Path, engine: dict[str, Any]) -> dict[str, Any]:
    """How every step's container is started: arguments of docker's `containers.run`.

    checkout: the folder that holds .local, and data where there are any.
    engine: what `docker info` says, as a dict.
    """
    store = tracking_uri()
    served = store.startswith(("http://", "https://"))
    handed_on = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
    written = str(checkout / LOCAL)
    mounts = [Mount(written, written, type="bind")]
    mounts += [
        Mount(str(checkout / name), str(checkout / name), type="bind", read_only=True)
        for name in READ
        if (checkout / name).is_dir()
    ]
    gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if "nvidia" in engine.get("Runtimes", {}) else []
    return {
        "user": f"{os.getuid()}:{os.getgid()}",  # outputs belong to whoever runs this
        "read_only": True,
        # Executable, because libraries load from there what they have built.
        "tmpfs": {"/tmp": "exec"},  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "shm_size": "1g",
        "network_mode": "host" if served else "none",
        "working_dir": str(checkout),
        "mounts": mounts,
        "environment": {**handed_on, "MLFLOW_TRACKING_URI": store, COMPILED: f"{written}/compiled"},
        "labels": {LABEL: os.environ.get(PIPELINE_RUN, "")},
        "device_requests": gpus,
    }


def main() -> None:
    """python -m pipelines.containers PACKAGE ROOT"""
    from kfp import components, local

    package, root = sys.argv[1:]
    client = docker.from_env()
    arguments = container_arguments(Path.cwd(), client.info())
    local.init(local.DockerRunner(**arguments), pipeline_root=root)
    try:
        components.load_component_from_file(package)()
    finally:
        # kfp leaves a container running when it is interrupted itself.
        for left in client.containers.list(filters={"label": f"{LABEL}={arguments['labels'][LABEL]}"}):
            left.stop()
        client.close()


if __name__ == "__main__":
    main()
