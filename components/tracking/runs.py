"""One MLflow run per (experiment, algorithm, seed): with that of its pipeline run, in one MLflow experiment.

Those of DVC and of single commands are in one MLflow experiment per kind of task.

Everything goes through the client API: joining a run with `mlflow.start_run` would overwrite the
status that its own step gave it.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from components.config.code import git_commit
from components.config.environment import IMAGE, PIPELINE_RUN
from components.console.messages import in_one_line
from components.console.signals import Terminated
from components.tracking.client import PIPELINES, UNKNOWN, connect, experiment_id
from components.tracking.origin import origin_tags
from components.tracking.parents import PIPELINE_RUN_TAG, TAG, given_parent, make_parent
from components.tracking.patience import ERRORS, impatient
from components.tracking.processes import is_dead, this_process

PROCESS = "process"  # the tag of whose a run is
DIGEST = 36  # characters of a data set's digest, and
RUN_NAME = 250  # of a run's name, that MLflow's own tables hold


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run, written through the client."""

    client: MlflowClient
    run_id: str

    @property
    def uri(self) -> str:
        """The store's address."""
        return str(self.client.tracking_uri)

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.client.log_batch(self.run_id, params=[Param(key, str(value)) for key, value in params.items()])

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        if values:
            self.client.log_batch(self.run_id, metrics=as_metrics(values, step))

    def last_steps(self) -> dict[str, int]:
        """Metric -> the last step that is logged."""
        names = self.client.get_run(self.run_id).data.metrics
        histories = {name: self.client.get_metric_history(self.run_id, name) for name in names}
        return {name: max(metric.step for metric in history) for name, history in histories.items()}

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def log_dataset(self, name: str, digest: str, source: str, counts: Mapping[str, int]) -> None:
        """What the run was trained on. digest: a SHA-256, of which MLflow keeps the first part."""
        place, profile = json.dumps({"uri": source}), json.dumps(counts)
        dataset = Dataset(name, digest[:DIGEST], "local", place, profile=profile)
        used = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        try:
            self.client.log_inputs(self.run_id, datasets=used)
        except MlflowException as error:
            # A store in a database looks for the data set before it adds it, and another training of the lane
            # may have added it in between; then this finds it.
            if not any(word in str(error).lower() for word in ("unique", "duplicate")):
                raise
            self.client.log_inputs(self.run_id, datasets=used)

    def describe(self, markdown: str) -> None:
        """What the run's page says first."""
        self.set_tags({"mlflow.note.content": markdown})

    def log_file(self, file: Path, place: str) -> None:
        self.client.log_artifact(self.run_id, str(file), place)

    def log_folder(self, folder: Path, place: str) -> None:
        self.client.log_artifacts(self.run_id, str(folder), place)


@contextmanager
def open_run(
    experiment: str, name: str, tags: Mapping[str, str], earlier: str | None = None
) -> Iterator[TrackedRun]:
    """A run, ended as FINISHED, as KILLED when it is interrupted, or as FAILED when the body raises.

    Within a pipeline run, its parent is the run that stands for it (components.tracking.parents). It is in
    that one's experiment: the UI shows children below their parent only there.
    experiment: that of a run without a parent.
    earlier: the run of an attempt that ended early, which is continued where this store has it. Within a
        pipeline run, an earlier attempt's run is found by its name, too.
    """
    client = connect()
    parent = given_parent() or _pipeline_parent(client)
    place = _place(client, parent, experiment)
    _end_lost(client, place)
    links = {"mlflow.parentRunId": parent} if parent else {}
    own = {"mlflow.source.git.commit": git_commit(), PROCESS: this_process(), **origin_tags()}
    about = {**own, **links, **_environment_tags(), **tags}
    run = (
        _reopen(client, earlier, about)
        or _reopen(client, _earlier_attempt(client, place, name), about)
        or _create(client, place, name, about)
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


def _place(client: MlflowClient, parent: str | None, experiment: str) -> str:
    """The id of the parent's experiment; of the one of that name where this store knows no parent."""
    known = find_run(client, parent)
    if known is None:
        return experiment_id(client, experiment)
    return str(client.get_run(known.run_id).info.experiment_id)


def _end_lost(client: MlflowClient, place: str) -> None:
    """End what processes of this machine left running when they were killed; one of them may be continued.

    Parents are for the launcher, who ends them with their children.
    """
    for run in client.search_runs([place], filter_string="attributes.status = 'RUNNING'"):
        if TAG not in run.data.tags and is_dead(run.data.tags.get(PROCESS, "")):
            client.set_terminated(run.info.run_id, "KILLED")


def _create(client: MlflowClient, place: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
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
    if run.info.status == "FINISHED" or (run.info.status == "RUNNING" and elsewhere):
        return None
    client.update_run(found.run_id, status="RUNNING")
    found.set_tags(tags)
    return found


def _earlier_attempt(client: MlflowClient, place: str, name: str) -> str | None:
    """The run of this name in this pipeline run that did not finish: its pod was lost, or failed."""
    pipeline = os.environ.get(PIPELINE_RUN)
    if not pipeline:
        return None
    chosen = f"attributes.status != 'FINISHED' and tags.{PIPELINE_RUN_TAG} = '{pipeline}'"
    runs = client.search_runs([place], filter_string=chosen)
    return next((run.info.run_id for run in runs if run.info.run_name == name[:RUN_NAME]), None)


def _end(run: TrackedRun, status: str) -> None:
    """A store that is away does not take the place of the error that ends the run."""
    if status == "FINISHED":
        run.client.set_terminated(run.run_id, status)
        return
    try:
        impatient(run.client).set_terminated(run.run_id, status)
    except ERRORS as error:
        print(f"warning: MLflow was not told that the run is {status} ({in_one_line(error)})", flush=True)


def _pipeline_parent(client: MlflowClient) -> str | None:
    name = os.environ.get(PIPELINE_RUN)
    return make_parent(client, experiment_id(client, PIPELINES), name) if name else None


def find_run(client: MlflowClient, run_id: str | None) -> TrackedRun | None:
    """The run of that id; None where this store does not know it, and for one that was deleted."""
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise
    return TrackedRun(client, run_id) if run.info.lifecycle_stage == LifecycleStage.ACTIVE else None


def _environment_tags() -> dict[str, str]:
    names = {"image": IMAGE, PIPELINE_RUN_TAG: PIPELINE_RUN}
    return {tag: os.environ[name] for tag, name in names.items() if name in os.environ}


def as_metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    """As MLflow takes them, of this moment."""
    now = int(time.time() * 1000)
    return [Metric(key, value, now, step) for key, value in values.items()]


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys, as they are written with SET="…"."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        nested = (
            flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        )
        flat.update(nested)
    return flat
