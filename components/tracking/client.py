"""The tracking store: a client of it, checked to answer, and its experiments."""

import os
from functools import partial
from urllib.parse import urlsplit

import requests
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from components.config.environment import LOCAL, PARENT, PIPELINE_RUN, local_store, tracking_uri
from components.tracking.address import is_server, named, require_address
from components.tracking.patience import PASSING, AwayError, in_words, patient, patiently
from components.tracking.relocation import artifacts_folder, follow
from components.tracking.views import TAGS
from metasgd.errors import InputError

PIPELINES = "pipelines"  # the experiment of the runs that stand for a whole pipeline, and of its trainings
TIMEOUT = 10  # seconds, for the first answer
UNKNOWN = (
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
)  # error codes for what the store does not have


def connect() -> MlflowClient:
    """A client of the tracking store, checked to answer, that bears with a store that is away for a while.

    A step of a pipeline waits for the first answer, too: its launcher has seen the store answer.
    Raises InputError for an address that is none, a store that does not answer, and one that refuses the
    credentials.
    """
    uri = tracking_uri()
    os.environ["MLFLOW_TRACKING_URI"] = uri
    if uri == local_store():
        LOCAL.mkdir(exist_ok=True)
    require_address(uri)
    if uri == local_store():
        follow(LOCAL)
    client = MlflowClient()
    is_step = PARENT in os.environ or PIPELINE_RUN in os.environ
    patiently(partial(_require_answer, client, uri), uri, None if is_step else 0)
    return patient(client, uri)


def _require_answer(client: MlflowClient, uri: str) -> None:
    if is_server(uri):
        _require_health(uri)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise in_words(error, uri) from None


def _require_health(uri: str) -> None:
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
        why = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        raise AwayError(f"{named(uri)}: not reachable{why}; expected a running MLflow server") from None
    code = answer.status_code
    if code == requests.codes.unauthorized and not _has_credentials(uri):
        raise InputError(
            f"{named(uri)}: asks for credentials, and none were given; expected "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if code != requests.codes.ok:
        passing = code >= requests.codes.server_error or code in PASSING
        raise (AwayError if passing else InputError)(f"{named(uri)}: answers {code}; expected 200")


def _has_credentials(uri: str) -> bool:
    return "@" in urlsplit(uri).netloc or bool(
        {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"} & os.environ.keys()
    )


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of that name, made where it is new. Raises InputError for one that is deleted."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != LifecycleStage.ACTIVE:
            raise InputError(
                f"{named(tracking_uri())}: the experiment {name!r} is deleted; expected it restored, by "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
            )
        return str(found.experiment_id)
    place = None if is_server(tracking_uri()) else (artifacts_folder(LOCAL) / name).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=place, tags=TAGS))
    except MlflowException:  # another training made it meanwhile
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
