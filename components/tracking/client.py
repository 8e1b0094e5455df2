"""The tracking store: a client of it, checked to answer, and its experiments.

Without MLFLOW_TRACKING_URI, the store is .local/mlflow.db here.
"""

import os
from urllib.parse import urlsplit

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from components.config.environment import LOCAL
from components.console.messages import in_one_line, without_credentials
from metasgd.errors import InputError

PIPELINES = "pipelines"  # the experiment of the runs that stand for a whole pipeline
TIMEOUT = 10  # seconds; MLflow's own patience with an absent server is four minutes
KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on runs, not on traces
UNKNOWN = (
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
)  # error codes for what the store does not have


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{LOCAL.resolve() / 'mlflow.db'}"


def connect() -> MlflowClient:
    """A client of the tracking store, checked to answer.

    Raises InputError for a server that does not answer, or refuses the credentials.
    """
    uri = tracking_uri()
    os.environ["MLFLOW_TRACKING_URI"] = uri
    if uri.startswith(("http://", "https://")):
        _require_answer(uri)
    else:
        LOCAL.mkdir(exist_ok=True)

    client = MlflowClient()
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        reason = in_one_line(error).replace(uri.rstrip("/"), without_credentials(uri).rstrip("/"))
        raise InputError(f"MLFLOW_TRACKING_URI {without_credentials(uri)}: {reason}") from None
    return client


def _require_answer(uri: str) -> None:
    try:
        # MLflow's own credentials and certificates from the environment, as for every later request.
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            "/health",
            "GET",
            timeout=TIMEOUT,
            max_retries=0,
            raise_on_status=False,
        )
    except (requests.RequestException, MlflowException) as error:
        reason = type(error.__cause__ or error).__name__
        raise InputError(
            f"{_named(uri)}: not reachable ({reason}); expected a running MLflow server"
        ) from None
    if answer.status_code == requests.codes.unauthorized and not _has_credentials(uri):
        raise InputError(
            f"{_named(uri)}: asks for credentials, and none were given; expected "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if answer.status_code != requests.codes.ok:
        raise InputError(f"{_named(uri)}: answers {answer.status_code}; expected 200")


def _named(uri: str) -> str:
    return f"MLFLOW_TRACKING_URI {without_credentials(uri)}"


def _has_credentials(uri: str) -> bool:
    return "@" in urlsplit(uri).netloc or bool(
        {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"} & os.environ.keys()
    )


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of that name, made where it is new."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = not tracking_uri().startswith(("http://", "https://"))
    place = (LOCAL.resolve() / "mlflow-artifacts" / name).as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=place, tags=KIND))
    except MlflowException:  # another training made it meanwhile
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
