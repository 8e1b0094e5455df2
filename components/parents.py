"""The MLflow run under which the runs of a pipeline's steps stand."""

import os

from mlflow import MlflowClient

from components.environment import PARENT, PLUGIN

TAG = "pipeline_parent_of"


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
    made = client.create_run(experiment_id, run_name=f"pipeline {name}", tags={TAG: name}).info.run_id
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
