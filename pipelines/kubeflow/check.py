"""What is looked at before a run is submitted: the image's name, pinned data, MLflow, S3.

Every check returns warnings, and raises InputError for what cannot go well: pods may reach an address
that this machine does not, but credentials that are refused here are refused everywhere.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from components.console.messages import without_credentials
from components.datasets.pinned import Pin, pin_file, remote_endpoint, require_present, resolve
from components.kinds.experiment import Experiment
from components.storage.s3 import S3CredentialsError, S3UnreachableError, client, has_object, parse
from metasgd.errors import InputError
from pipelines.image import require_reference as require_well_formed
from pipelines.kubeflow.cluster import Cluster

TIMEOUT = 10  # seconds
REFUSED = (requests.codes.unauthorized, requests.codes.forbidden)


def require_reference(image: str) -> None:
    """Kubeflow's cache keys on the image's reference, so it must not move."""
    require_well_formed(image, "IMAGE")
    name, _, tag = image.rpartition("/")[2].partition(":")
    if not name or "/" not in image:
        raise InputError(
            f"IMAGE is {image!r}; expected a reference that the cluster can pull, by REGISTRY=… or IMAGE=…"
        )
    if tag in ("", "latest") and "@sha256:" not in image:
        raise InputError(
            f"IMAGE is {image!r}; expected a tag that never moves, as `make image-push` gives it"
        )


def find_pins(experiments: Sequence[Experiment], root: Path) -> dict[str, Pin]:
    """Experiment -> the data that its pods will download; those that generate theirs have none."""
    files = {experiment.name: experiment.tasks.files for experiment in experiments}
    return {name: resolve(root, pin_file(place)) for name, place in files.items() if place is not None}


def check_pins(pins: Mapping[str, Pin], root: Path) -> list[str]:
    """Every pinned object must lie in the DVC remote."""
    if not pins:
        return []
    with closing(client(remote_endpoint(root))) as remote:
        try:
            for pin in set(pins.values()):
                require_present(pin, remote)
        except (S3UnreachableError, S3CredentialsError) as error:
            return [f"{error}; whether the pinned data are there is not known"]
    return []


def check_mlflow(cluster: Cluster) -> list[str]:
    """The tracking server answers, and takes the credentials of this environment where it has some."""
    if not cluster.mlflow:
        return []
    address, shown = cluster.mlflow, without_credentials(cluster.mlflow)
    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(address),  # type: ignore[no-untyped-call]
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            timeout=TIMEOUT,
            max_retries=0,
            raise_on_status=False,
        )
    except (requests.RequestException, MlflowException) as error:
        reason = type(error.__cause__ or error).__name__
        return [f"kubeflow.mlflow {shown}: not reachable from here ({reason}); pods may reach it"]
    if answer.status_code in REFUSED:
        if not {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"} & os.environ.keys():
            return [
                f"kubeflow.mlflow {shown}: asks for credentials, and the environment has none; "
                f"pods take theirs from the secret {cluster.mlflow_secret or '(none)'}"
            ]
        raise InputError(f"kubeflow.mlflow {shown}: refuses the credentials of the environment")
    if answer.status_code != requests.codes.ok:
        return [f"kubeflow.mlflow {shown}: answers {answer.status_code}; expected 200"]
    return []


def check_states(cluster: Cluster) -> list[str]:
    """The bucket of the trainings' states answers, and takes the credentials of this environment."""
    if cluster.states_claim or not cluster.states:
        return []
    place = parse(cluster.states, "kubeflow.states")
    with closing(client(cluster.s3 or None)) as server:
        try:
            has_object(server, place / "none")
        except S3UnreachableError as error:
            return [f"kubeflow.s3: {error}; pods may reach it"]
        except S3CredentialsError:
            return [
                "kubeflow.s3: the environment has no credentials to ask it with; "
                f"pods take theirs from the secret {cluster.s3_secret or '(none)'}"
            ]
    return []


def check(experiments: Sequence[Experiment], cluster: Cluster, root: Path) -> list[str]:
    """Warnings of all checks. Raises InputError for the first thing that cannot go well."""
    pins = find_pins(experiments, root)
    return [*check_pins(pins, root), *check_mlflow(cluster), *check_states(cluster)]
