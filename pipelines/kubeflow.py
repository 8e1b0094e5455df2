"""Runs on Kubeflow Pipelines: submit, follow, schedule."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kfp_server_api as api
import yaml
from google.protobuf.json_format import ParseDict, ParseError
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from components.command import StepFailedError
from metasgd.errors import InputError
from pipelines.endpoint import TIMEOUT, Endpoint, UnavailableError, api_client, one_line

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
SHOWN = ("RUNNING", *ENDED)
PATIENCE = 600  # seconds that a followed run's API may be away
HEALTH = {"multi_user", "pipeline_store"}


class Kubeflow:
    """An API that answers and takes the token: see `connect`."""

    def __init__(self, endpoint: Endpoint, client: api.ApiClient) -> None:
        self.endpoint = endpoint
        self.experiments = api.ExperimentServiceApi(client)
        self.runs = api.RunServiceApi(client)
        self.recurring = api.RecurringRunServiceApi(client)

    def submit(self, package: Path, name: str, experiment: str) -> str:
        """Run a compiled pipeline; returns the run's id.

        experiment: KFP's, made where it is missing. Raises InputError for what the server refuses.
        """
        body = api.V2beta1Run(
            display_name=name,
            experiment_id=self._experiment_id(experiment),
            pipeline_spec=_read(package),
            runtime_config=api.V2beta1RuntimeConfig(parameters={}),
        )
        with one_line(self.endpoint):
            run = self.runs.run_service_create_run(body, _request_timeout=TIMEOUT)
        return self._id(getattr(run, "run_id", None), "run")

    def schedule(self, package: Path, name: str, experiment: str, cron: str) -> str:
        """Run it again and again, one at a time and without catching up; returns the recurring run's id.

        cron: six fields, from seconds on. Raises InputError for what the server refuses.
        """
        body = api.V2beta1RecurringRun(
            display_name=name,
            experiment_id=self._experiment_id(experiment),
            pipeline_spec=_read(package),
            runtime_config=api.V2beta1RuntimeConfig(parameters={}),
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=cron)),
            max_concurrency="1",
            no_catchup=True,
            mode=api.RecurringRunMode.ENABLE,
        )
        with one_line(self.endpoint):
            made = self.recurring.recurring_run_service_create_recurring_run(body, _request_timeout=TIMEOUT)
        return self._id(getattr(made, "recurring_run_id", None), "recurring run")

    def address(self, run_id: str) -> str:
        """The run's page."""
        return f"{self.endpoint.host}/#/runs/details/{run_id}"

    def follow(self, run_id: str, show: Callable[[str], None], interval: float = 5.0) -> None:
        """Show a line per step that starts or ends, until the run has ended.

        interval: seconds between questions.
        Raises StepFailedError unless it succeeds, and InputError where the API stays away.
        """
        told: set[tuple[str, str]] = set()
        while True:
            run = self._look(run_id, show, interval)
            for task in _steps(run):
                if (task.task_id, task.state) not in told:
                    told.add((task.task_id, task.state))
                    show(f"{task.display_name}: {task.state.lower()}")
            if run.state in ENDED:
                break
            time.sleep(interval)
        if run.state != "SUCCEEDED":
            raise StepFailedError(f"the run {run.state.lower()}: {_why(run)} ({self.address(run_id)})")

    def _look(self, run_id: str, show: Callable[[str], None], interval: float) -> Any:
        """The run as it is now; an API that is away is waited for."""

        def away(attempt: Any) -> None:
            if attempt.attempt_number == 1:
                show(f"warning: {attempt.outcome.exception()}; asking again")

        patiently = Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_exponential(multiplier=interval, max=60),
            stop=stop_after_delay(PATIENCE),
            before_sleep=away,
            reraise=True,
        )
        try:
            return patiently(self._get, run_id)
        except InputError as error:
            raise InputError(f"{error}; the run goes on: {self.address(run_id)}") from None

    def _get(self, run_id: str) -> Any:
        with one_line(self.endpoint):
            return self.runs.run_service_get_run(run_id, _request_timeout=TIMEOUT)

    def _experiment_id(self, name: str) -> str:
        namespace = self.endpoint.namespace
        wanted = {"operation": 1, "key": "display_name", "stringValue": name}
        with one_line(self.endpoint):
            found = self.experiments.experiment_service_list_experiments(
                namespace=namespace or "",
                filter=json.dumps({"predicates": [wanted]}),
                _request_timeout=TIMEOUT,
            )
            if found.experiments:
                return self._id(found.experiments[0].experiment_id, "experiment")
            made = self.experiments.experiment_service_create_experiment(
                api.V2beta1Experiment(display_name=name, namespace=namespace), _request_timeout=TIMEOUT
            )
        return self._id(made.experiment_id, "experiment")

    def _id(self, found: str | None, what: str) -> str:
        if not found:
            raise InputError(
                f"KFP_HOST {self.endpoint.host}: answers without the id of a {what}; expected one"
            )
        return found


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


def _health(endpoint: Endpoint, client: api.ApiClient) -> dict[str, Any]:
    """What the API says of itself; an authentication proxy's page says nothing of the kind."""
    with one_line(endpoint):
        answer = api.HealthzServiceApi(client).healthz_service_get_healthz(
            _preload_content=False, _request_timeout=TIMEOUT
        )
    try:
        health = json.loads(answer.data)
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


def _steps(run: Any) -> list[Any]:
    """The tasks that are steps of ours: Kubeflow also lists what drives them."""
    tasks = (run.run_details.task_details if run.run_details else None) or []
    inner = ("root", "executor")
    return [
        task
        for task in tasks
        if task.state in SHOWN
        and task.display_name not in inner
        and not task.display_name.endswith("-driver")
    ]


def _why(run: Any) -> str:
    """The failed steps and the server's words, in one line."""
    failed = [task.display_name for task in _steps(run) if task.state == "FAILED"]
    messages = [found.error.message for found in [*_steps(run), run] if found.error and found.error.message]
    words = " ".join(" ".join(messages).split())[:300]
    return ", ".join(failed) + (f": {words}" if words else "") or "no reason given"
