"""End the MLflow run of a pipeline run, where nobody else does."""

import os

from components.environment import PARENT, PIPELINE_RUN, PLUGIN

STATUS = {"SUCCEEDED": "FINISHED", "CANCELLED": "KILLED", "CANCELED": "KILLED"}


def finish(state: str) -> None:
    """End the run that the first step opened (components.parents).

    state: KFP's final state of all other steps; one that is unknown is a failure.
    The launcher ends the run that it opened itself, and Kubeflow's MLflow plugin its own.
    """
    if PARENT in os.environ or PLUGIN in os.environ or PIPELINE_RUN not in os.environ:
        return
    # Not at the top: MLflow takes seconds to import, which most runs can do without.
    from components.parents import find_parent
    from components.tracking import PIPELINES, connect, experiment_id

    client = connect()
    parent = find_parent(client, experiment_id(client, PIPELINES), os.environ[PIPELINE_RUN])
    if parent is not None:
        client.set_terminated(parent, STATUS.get(state, "FAILED"))
