"""The API of Kubeflow Pipelines, as far as the pipeline needs it: runs, schedules, uploads, logs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import kfp_server_api as api
import yaml
from google.protobuf.json_format import ParseDict, ParseError
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from metasgd.errors import InputError
from pipelines.kubeflow.creation import create, require_id, submission_tag
from pipelines.kubeflow.endpoint import TIMEOUT, Endpoint, api_client, one_line

HEALTH = {"multi_user", "pipeline_store"}
# What the server's database holds: a longer name is answered with 500 although the run starts.
RUN_NAME, EXPERIMENT_NAME, DESCRIPTION, TAG = 255, 128, 255, 63
NEWEST_FIRST = "created_at desc"
PAGE = 20


@dataclass(frozen=True)
class Version:
    """A pipeline's version on the server. new: it was not there before."""

    pipeline_id: str
    version_id: str
    new: bool


@dataclass(frozen=True)
class ListedRun:
    """A run as lists show it."""

    run_id: str
    name: str
    state: str
    created: datetime


class Kubeflow:
    """An API that answers and takes the token: see `connect`."""

    def __init__(self, endpoint: Endpoint, client: api.ApiClient) -> None:
        self.endpoint = endpoint
        self.client = client
        self.experiments = api.ExperimentServiceApi(client)
        self.pipelines = api.PipelineServiceApi(client)
        self.uploads = api.PipelineUploadServiceApi(client)
        self.recurring = api.RecurringRunServiceApi(client)
        self.runs = api.RunServiceApi(client)

    def submit(self, package: Path, name: str, experiment: str, description: str = "") -> str:
        """Run a compiled pipeline; returns the run's id.

        experiment: KFP's, made where it is missing. Names and description are cut to what the server takes.
        Raises InputError for what the server refuses.
        """
        tag = submission_tag()
        experiment_id = self._experiment_id(experiment)
        body = api.V2beta1Run(**_about(tag, name, description, experiment_id), pipeline_spec=_read(package))

        def look() -> str | None:
            return next((run.run_id for run in _tagged(self._list_runs(experiment_id).runs, tag)), None)

        def make() -> str | None:
            made = self.runs.run_service_create_run(body, _request_timeout=TIMEOUT)
            return getattr(made, "run_id", None)

        return create(self.endpoint, "run", tag, make, look)

    def schedule(self, version: Version, name: str, experiment: str, cron: str, description: str = "") -> str:
        """Run an uploaded pipeline again and again, one at a time and without catching up.

        Returns the recurring run's id. cron: six fields, from seconds on.
        Raises InputError for what the server refuses.
        """
        tag = submission_tag()
        experiment_id = self._experiment_id(experiment)
        body = api.V2beta1RecurringRun(
            **_about(tag, name, description, experiment_id),
            pipeline_version_reference=api.V2beta1PipelineVersionReference(
                pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
            ),
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=cron)),
            max_concurrency="1",
            no_catchup=True,
            mode=api.RecurringRunMode.ENABLE,
        )

        def look() -> str | None:
            listed = self.recurring.recurring_run_service_list_recurring_runs(
                experiment_id=experiment_id, page_size=PAGE, sort_by=NEWEST_FIRST, _request_timeout=TIMEOUT
            )
            return next((run.recurring_run_id for run in _tagged(listed.recurring_runs, tag)), None)

        def make() -> str | None:
            made = self.recurring.recurring_run_service_create_recurring_run(body, _request_timeout=TIMEOUT)
            return getattr(made, "recurring_run_id", None)

        return create(self.endpoint, "recurring run", tag, make, look)

    def upload(
        self, package: Path, pipeline: str, version: str, description: str, tags: Mapping[str, str]
    ) -> Version:
        """Keep a compiled pipeline on the server as a version, unless it is there.

        pipeline: its name, made where it is missing. version: its name, which must tell contents apart.
        tags: shown beside it; values are cut to what the server takes.
        """
        _read(package)
        short = {key: value[:TAG] for key, value in tags.items()}
        pipeline_id = self._pipeline_id(pipeline)

        def look() -> str | None:
            listed = self.pipelines.pipeline_service_list_pipeline_versions(
                pipeline_id, filter=_called(version), _request_timeout=TIMEOUT
            )
            versions = listed.pipeline_versions or []
            return versions[0].pipeline_version_id if versions else None

        def make() -> str | None:
            made = self.uploads.upload_pipeline_version(
                str(package), name=version, pipelineid=pipeline_id, tags=json.dumps(short),
                description=shortened(description, DESCRIPTION), _request_timeout=TIMEOUT,
            )  # fmt: skip
            return getattr(made, "pipeline_version_id", None)

        with one_line(self.endpoint):
            found = look()
        return Version(
            pipeline_id, found or create(self.endpoint, "pipeline version", version, make, look), not found
        )

    def list_runs(self, experiment: str) -> list[ListedRun]:
        """The last runs of an experiment of KFP's, newest first; none where it is missing."""
        with one_line(self.endpoint):
            found = self._find_experiment(experiment)
            runs = (self._list_runs(found).runs or []) if found else []
        return [ListedRun(run.run_id, run.display_name, state_of(run), run.created_at) for run in runs]

    def run(self, run_id: str) -> Any:
        """A run as the API answers it. Raises UnavailableError where another question may be answered."""
        with one_line(self.endpoint):
            run = self.runs.run_service_get_run(run_id, _request_timeout=TIMEOUT)
        if getattr(run, "run_id", None) != run_id:
            raise InputError(f"KFP_HOST {self.endpoint.host}: answers without the run, as a login page does")
        return run

    def log(self, run_id: str, pod: str) -> list[str]:
        """A pod's log, where the API still gives it; no lines where it does not."""
        path = f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log"
        try:
            with one_line(self.endpoint):
                answer = self.client.call_api(
                    path, "GET", auth_settings=["Bearer"], _preload_content=False,
                    _return_http_data_only=True, _request_timeout=TIMEOUT,
                )  # fmt: skip
                text = answer.data.decode(errors="replace")
        except InputError:
            return []
        is_text = answer.headers.get("Content-Type", "").startswith("text/plain")
        return text.splitlines() if is_text else []

    def address(self, run_id: str) -> str:
        """The run's page."""
        return f"{self.endpoint.host}/#/runs/details/{run_id}"

    def log_address(self, run_id: str, pod: str) -> str:
        """The page that shows a pod's log."""
        namespace = f"&podnamespace={self.endpoint.namespace}" if self.endpoint.namespace else ""
        return f"{self.endpoint.host}/k8s/pod/logs?podname={pod}&runid={run_id}{namespace}"

    def _list_runs(self, experiment_id: str) -> Any:
        return self.runs.run_service_list_runs(
            experiment_id=experiment_id, page_size=PAGE, sort_by=NEWEST_FIRST, _request_timeout=TIMEOUT
        )

    def _experiment_id(self, name: str) -> str:
        with one_line(self.endpoint):
            if found := self._find_experiment(name):
                return found
            body = api.V2beta1Experiment(
                display_name=shortened(name, EXPERIMENT_NAME), namespace=self.endpoint.namespace
            )
            made = self.experiments.experiment_service_create_experiment(body, _request_timeout=TIMEOUT)
        return require_id(self.endpoint, made.experiment_id, "experiment")

    def _find_experiment(self, name: str) -> str | None:
        found = self.experiments.experiment_service_list_experiments(
            namespace=self.endpoint.namespace or "",
            filter=_called(shortened(name, EXPERIMENT_NAME)),
            _request_timeout=TIMEOUT,
        )
        return (
            require_id(self.endpoint, found.experiments[0].experiment_id, "experiment")
            if found.experiments
            else None
        )

    def _pipeline_id(self, name: str) -> str:
        namespace = self.endpoint.namespace
        with one_line(self.endpoint):
            found = self.pipelines.pipeline_service_list_pipelines(
                namespace=namespace or "", filter=_called(name), _request_timeout=TIMEOUT
            )
            if found.pipelines:
                return require_id(self.endpoint, found.pipelines[0].pipeline_id, "pipeline")
            made = self.pipelines.pipeline_service_create_pipeline(
                api.V2beta1Pipeline(name=name, display_name=name, namespace=namespace),
                _request_timeout=TIMEOUT,
            )
        return require_id(self.endpoint, made.pipeline_id, "pipeline")


def connect(endpoint: Endpoint) -> Kubeflow:
    """Check that a Kubeflow Pipelines API answers there and takes the token.

    Raises InputError: no answer, a login page, another API, a token that is refused, or a cluster with
    many users and no namespace.
    """
    client = api_client(endpoint)
    health = _health(endpoint, client)
    if health.get("multi_user") and not endpoint.namespace:
        raise InputError(f"KFP_HOST {endpoint.host}: has many users; expected KFP_NAMESPACE=…")
    kubeflow = Kubeflow(endpoint, client)
    with one_line(endpoint):
        kubeflow.experiments.experiment_service_list_experiments(
            page_size=1, namespace=endpoint.namespace or "", _request_timeout=TIMEOUT
        )
    return kubeflow


def state_of(run: Any) -> str:
    """The run's state; one that was terminated from outside is CANCELED, though Kubeflow calls it FAILED."""
    cancelled = any(past.state == "CANCELING" for past in run.state_history or [])
    return "CANCELED" if cancelled and run.state == "FAILED" else str(run.state)


def shortened(text: str, limit: int) -> str:
    """At most so many characters; what is cut off is said by three dots."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _about(tag: str, name: str, description: str, experiment_id: str) -> dict[str, Any]:
    """What runs and recurring runs are told alike."""
    return {
        "display_name": shortened(name, RUN_NAME),
        "description": shortened(f"{tag}. {description}", DESCRIPTION),
        "experiment_id": experiment_id,
        "runtime_config": api.V2beta1RuntimeConfig(parameters={}),
    }


def _tagged(listed: Iterable[Any] | None, tag: str) -> Iterator[Any]:
    return (one for one in listed or [] if (one.description or "").startswith(tag))


def _called(name: str) -> str:
    """A filter of the list services: the display name is this one."""
    return json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})


def _health(endpoint: Endpoint, client: api.ApiClient) -> dict[str, Any]:
    """What the API says of itself; an authentication proxy's page says nothing of the kind."""
    with one_line(endpoint):
        answer = api.HealthzServiceApi(client).healthz_service_get_healthz(
            _preload_content=False, _request_timeout=TIMEOUT
        )
        content = answer.data
    try:
        health = json.loads(content)
    except ValueError:
        kind = answer.headers.get("Content-Type", "").partition(";")[0] or "no JSON"
        raise InputError(
            f"KFP_HOST {endpoint.host}: answers with {kind}, as a login page does; "
            "expected a Kubeflow Pipelines API that takes the token"
        ) from None
    if not isinstance(health, dict) or not HEALTH & health.keys():
        raise InputError(f"KFP_HOST {endpoint.host}: is another API; expected one of Kubeflow Pipelines")
    return health


def _read(package: Path) -> dict[str, Any]:
    """A compiled pipeline as the API takes it: one document, or two with what is Kubernetes' own."""
    spec, *platform = yaml.safe_load_all(package.read_text())
    try:
        ParseDict(spec, PipelineSpec())  # as strict as the server
    except ParseError as error:
        raise InputError(f"{package}: {' '.join(str(error).split())}; expected a compiled pipeline") from None
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else dict(spec)
