"""MLflow: one run per (experiment, algorithm, seed), in one MLflow experiment per kind of task.

Everything goes through the client API: joining a run with `mlflow.start_run` would overwrite the
status that its own step gave it. Without MLFLOW_TRACKING_URI, the store is .local/mlflow.db here.
"""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from components.command import Terminated
from components.environment import COMMIT, IMAGE, PIPELINE_RUN
from components.parents import PIPELINE_RUN_TAG, given_parent, make_parent
from metasgd.errors import InputError

LOCAL = Path(".local")
PIPELINES = "pipelines"  # the experiment of the runs that stand for a whole pipeline
TIMEOUT = 10  # seconds; MLflow's own patience with an absent server is four minutes
BATCH = 1000  # metrics that MLflow takes at once
KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on runs, not on traces
RUN_NAME = 250  # characters that MLflow's own tables hold
NO_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


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
        reason = _line(error).replace(uri.rstrip("/"), _public(uri).rstrip("/"))
        raise InputError(f"MLFLOW_TRACKING_URI {_public(uri)}: {reason}") from None
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
            f"MLFLOW_TRACKING_URI {_public(uri)}: not reachable ({reason}); expected a running MLflow server"
        ) from None
    if answer.status_code == requests.codes.unauthorized and not _has_credentials(uri):
        raise InputError(
            f"MLFLOW_TRACKING_URI {_public(uri)}: asks for credentials, and none were given; expected "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if answer.status_code != requests.codes.ok:
        raise InputError(f"MLFLOW_TRACKING_URI {_public(uri)}: answers {answer.status_code}; expected 200")


def _has_credentials(uri: str) -> bool:
    return "@" in urlsplit(uri).netloc or bool(
        {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"} & os.environ.keys()
    )


def _public(uri: str) -> str:
    """The address without credentials."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run, written through the client."""

    client: MlflowClient
    run_id: str

    def log_params(self, params: Mapping[str, Any]) -> None:

        self.client.log_batch(self.run_id, params=[Param(key, str(value)) for key, value in params.items()])

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        if not values:
            return
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, step) for key, value in values.items()]
        self.client.log_batch(self.run_id, metrics=metrics)

    def log_history(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """(step, values) of many steps at once."""
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, step) for step, values in points for key, value in values.items()]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])

    def last_steps(self) -> dict[str, int]:
        """Metric -> the last step that is logged."""
        names = self.client.get_run(self.run_id).data.metrics
        histories = {name: self.client.get_metric_history(self.run_id, name) for name in names}
        return {name: max(metric.step for metric in history) for name, history in histories.items()}

    def set_tags(self, tags: Mapping[str, Any]) -> None:

        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def log_file(self, file: Path, place: str) -> None:
        self.client.log_artifact(self.run_id, str(file), place)

    def log_folder(self, folder: Path, place: str) -> None:
        self.client.log_artifacts(self.run_id, str(folder), place)


@contextmanager
def open_run(
    experiment: str, name: str, tags: Mapping[str, str], earlier: str | None = None
) -> Iterator[TrackedRun]:
    """A run, ended as FINISHED, as KILLED when it is interrupted, or as FAILED when the body raises.

    Within a pipeline run, its parent is the run that stands for it (components.parents).
    earlier: the run of an attempt that ended early, which is continued where this store has it. Within a
        pipeline run, an earlier attempt's run is found by its name, too.
    """
    client = connect()
    parent = given_parent() or _pipeline_parent(client)
    links = {"mlflow.parentRunId": parent} if parent else {}
    about = {"mlflow.source.git.commit": git_commit(), **links, **_environment_tags(), **tags}
    run = (
        _reopen(client, earlier, about)
        or _reopen(client, _earlier_attempt(client, experiment, name), about)
        or _create(client, experiment, name, about)
    )
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (KeyboardInterrupt, Terminated):
        status = "KILLED"
        raise
    finally:
        _end(run, status)


def _create(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
    place = experiment_id(client, experiment)
    made = client.create_run(place, run_name=name[:RUN_NAME], tags=dict(tags))
    return TrackedRun(client, made.info.run_id)


def _reopen(client: MlflowClient, run_id: str | None, tags: Mapping[str, str]) -> TrackedRun | None:
    """The run of that id as one that is under way; None where it is over, deleted or unknown here.

    One that is RUNNING in another pipeline run has not ended: it is that one's.
    """
    found = find_run(client, run_id)
    if found is None:
        return None
    run = client.get_run(found.run_id)
    elsewhere = run.data.tags.get(PIPELINE_RUN_TAG) != tags.get(PIPELINE_RUN_TAG)
    is_over = run.info.status == "FINISHED" or (run.info.status == "RUNNING" and elsewhere)
    if is_over or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        return None
    client.update_run(found.run_id, status="RUNNING")
    found.set_tags(tags)
    return found


def _earlier_attempt(client: MlflowClient, experiment: str, name: str) -> str | None:
    """The run of this name in this pipeline run that did not finish: its pod was lost, or failed."""
    pipeline = os.environ.get(PIPELINE_RUN)
    if not pipeline:
        return None
    chosen = f"attributes.status != 'FINISHED' and tags.{PIPELINE_RUN_TAG} = '{pipeline}'"
    runs = client.search_runs([experiment_id(client, experiment)], filter_string=chosen)
    return next((run.info.run_id for run in runs if run.info.run_name == name[:RUN_NAME]), None)


def _end(run: TrackedRun, status: str) -> None:
    """A store that is away does not take the place of the error that ends the run."""
    try:
        run.client.set_terminated(run.run_id, status)
    except (MlflowException, requests.RequestException) as error:
        if status == "FINISHED":
            raise
        print(f"warning: MLflow was not told that the run is {status} ({_line(error)})", flush=True)


def _pipeline_parent(client: MlflowClient) -> str | None:
    name = os.environ.get(PIPELINE_RUN)
    return make_parent(client, experiment_id(client, PIPELINES), name) if name else None


def find_run(client: MlflowClient, run_id: str | None) -> TrackedRun | None:
    """The run of that id, or None where this store does not know it."""

    if run_id is None:
        return None
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in NO_RUN:
            return None
        raise
    return TrackedRun(client, run_id)


def git_commit() -> str:
    """The code's commit, marked when files differ from it; the environment says it where there is no git."""
    if stated := os.environ.get(COMMIT):
        return stated
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _environment_tags() -> dict[str, str]:
    names = {"image": IMAGE, PIPELINE_RUN_TAG: PIPELINE_RUN}
    return {tag: os.environ[name] for tag, name in names.items() if name in os.environ}


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


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys, as they are written with SET="…"."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        nested = (
            flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        )
        flat.update(nested)
    return flat
