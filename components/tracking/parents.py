"""The MLflow run under which the runs of a pipeline's steps stand."""

import os
from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import Run

from components.config.environment import PARENT, PLUGIN
from components.tracking.origin import origin_tags

TAG = "pipeline_parent_of"
PIPELINE_RUN_TAG = "pipeline_run"  # of every run that a step opened


def given_parent() -> str | None:
    """The run that the launcher or Kubeflow's MLflow plugin opened, and will end."""
    return os.environ.get(PARENT) or os.environ.get(PLUGIN)


def make_parent(client: MlflowClient, experiment_id: str, name: str) -> str:
    """The run that stands for the pipeline run of that name: its first step opens it, `finish` ends it.

    experiment_id: where it stands.
    """
    found = find_parent(client, experiment_id, name)
    if found is not None:
        return found
    tags = {**origin_tags(), TAG: name}
    made = client.create_run(experiment_id, run_name=f"pipeline {name}", tags=tags).info.run_id
    # Another step may have made one at the same time: all keep the oldest.
    oldest = find_parent(client, experiment_id, name) or made
    if oldest != made:
        client.delete_run(made)
    return oldest


def find_parent(client: MlflowClient, experiment_id: str, name: str) -> str | None:
    """The parent of the pipeline run of that name, if a step opened one."""
    runs = client.search_runs(
        [experiment_id],
        filter_string=f"tags.{TAG} = '{name}'",
        order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
        max_results=1,
    )
    return runs[0].info.run_id if runs else None


def running_parents(client: MlflowClient, experiment_id: str) -> Iterator[tuple[str, str]]:
    """(name of the pipeline run, its parent) for all that have not ended."""
    for run in client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'"):
        if TAG in run.data.tags:
            yield run.data.tags[TAG], run.info.run_id


def end_lost_runs(client: MlflowClient, name: str) -> list[str]:
    """End what a pipeline run left running as KILLED; returns the names of the runs.

    Once its steps are over, a run that is still open belongs to a process that was killed without a word.
    """
    lost = _children(client, name, "RUNNING")
    for run in lost:
        client.set_terminated(run.info.run_id, "KILLED")
    return [str(run.info.run_name) for run in lost]


def failed_runs(client: MlflowClient, name: str) -> list[str]:
    """The names of the runs that failed below a pipeline run."""
    return [str(run.info.run_name) for run in _children(client, name, "FAILED")]


def _children(client: MlflowClient, name: str, status: str) -> list[Run]:
    places = [one.experiment_id for one in client.search_experiments()]
    chosen = f"attributes.status = '{status}' and tags.{PIPELINE_RUN_TAG} = '{name}'"
    return list(client.search_runs(places, filter_string=chosen))
