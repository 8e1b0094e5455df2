"""The container runner: the compiled pipeline in kfp.local, each step in a container of the image.

As `pipelines.local.warm`, it is a process of its own, started by the launcher. A container gets a root
that cannot be written, the checkout's .local and data and the folders of other stores at their own paths, and
no network unless a store is a server.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
from docker.types import DeviceRequest, Mount

from components.config.environment import (
    COMPILED,
    LOCAL,
    PARENT,
    PATIENCE,
    PIPELINE_RUN,
    STARTED,
    STATES,
    tracking_uri,
)
from components.console.command import TERMINATED
from components.console.progress import PROGRESS
from components.console.signals import Terminated, raising_terminated
from metasgd.errors import InputError
from pipelines.image import image_id
from pipelines.local.lost_runs import RUNS

LABEL = "metasgd.run"
# What steps read: where they stand, and credentials. They reach containers as environment alone.
HANDED_ON = (PARENT, PIPELINE_RUN, STARTED, "MLFLOW_", "AWS_", STATES, PATIENCE, PROGRESS)
HOSTED = ("databricks", "databricks-uc", "uc")  # MLflow's own names for a server
READ = ("data", "datasets")


def require_image(image: str) -> str:
    """Its id. Raises InputError where no container engine answers, or it lacks the image."""
    if (found := image_id(image)) is None:
        raise InputError(f"IMAGE {image}: unknown to the container engine; expected `make image`")
    return found


def container_arguments(
    checkout: Path, engine: dict[str, Any], through: Path | None = None
) -> dict[str, Any]:
    """How every step's container is started: arguments of docker's `containers.run`.

    checkout: the folder that holds .local, and data where there are any.
    engine: what `docker info` says, as a dict.
    through: the path by which kfp knows the checkout, where that is another one.
    """
    store, states = tracking_uri(), os.environ.get(STATES, "")
    handed_on = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
    local = checkout / LOCAL
    written = [local, *_outside(local, [_folder_of(store), _folder_of(states)])]
    read = [checkout / name for name in READ if (checkout / name).is_dir()]
    gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if "nvidia" in engine.get("Runtimes", {}) else []
    return {
        "user": f"{os.getuid()}:{os.getgid()}",  # outputs belong to whoever runs this
        "read_only": True,
        # Executable, because libraries load from there what they have built.
        "tmpfs": {"/tmp": "exec"},  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "shm_size": "1g",
        "network_mode": "host" if _is_server(store) or _is_server(states) else "none",
        "working_dir": str(checkout),
        "mounts": [Mount(str(place), str(place), type="bind") for place in written]
        # What earlier runs have left there; kfp itself mounts the new run alone.
        + [Mount(str(place / LOCAL), str(local), type="bind") for place in (through,) if place]
        + [Mount(str(place), str(place), type="bind", read_only=True) for place in read],
        "environment": {**handed_on, "MLFLOW_TRACKING_URI": store, COMPILED: str(local / "compiled")},
        "labels": {LABEL: os.environ.get(PIPELINE_RUN, "")},
        "device_requests": gpus,
    }


def _is_server(address: str) -> bool:
    """Whether a store is elsewhere: MLflow's server or database, or a bucket; files are here."""
    scheme, colon, _ = address.partition(":")
    return address in HOSTED or (bool(colon) and scheme not in ("sqlite", "file"))


def _folder_of(address: str) -> Path | None:
    """The folder of a store in files, made where it is missing; None for a server, or where there is none."""
    if not address or _is_server(address):
        return None
    scheme, colon, path = address.rpartition(":")
    # sqlite:///name is a relative path, and sqlite:////name an absolute one; a file's is always absolute.
    path = path.removeprefix("///") if scheme == "sqlite" else path.removeprefix("//") if colon else address
    place = Path(path).resolve()
    folder = place.parent if scheme == "sqlite" else place
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _outside(local: Path, folders: Sequence[Path | None]) -> list[Path]:
    """Those that lie elsewhere than in a folder that is mounted in any case."""
    found = [folder for folder in folders if folder and not folder.is_relative_to(local.resolve())]
    return list(dict.fromkeys(found))


def main() -> None:
    """python -m pipelines.local.containers PACKAGE ROOT [FINISHED]"""
    from kfp import components, local

    from pipelines.local.finished import use_finished_steps

    package, root, *finished = sys.argv[1:]
    checkout, through = Path.cwd(), Path(root).parents[len(RUNS.parts)]
    client = docker.from_env()
    arguments = container_arguments(checkout, client.info(), through if through != checkout else None)
    use_finished_steps(local.DockerRunner(**arguments), root, *finished)
    try:
        with raising_terminated():
            components.load_component_from_file(package)()
    except Terminated:
        sys.exit(TERMINATED)
    finally:
        # kfp leaves a container running when it is interrupted itself.
        for left in client.containers.list(filters={"label": f"{LABEL}={arguments['labels'][LABEL]}"}):
            left.stop()
        client.close()


if __name__ == "__main__":
    main()
