"""The way from the Kubeflow UI to MLflow: the page of the run that stands for the pipeline run."""

import os

from components.config.environment import MLFLOW_UI, PIPELINE_RUN
from metasgd.errors import InputError


def parent_address() -> str | None:
    """The page's address, on a cluster whose MLflow answers and has the run."""
    if MLFLOW_UI not in os.environ or PIPELINE_RUN not in os.environ:
        return None
    # Not at the top: MLflow takes seconds to import, which a report elsewhere can do without.
    from mlflow.exceptions import MlflowException

    from components.tracking.client import PIPELINES, connect, experiment_id
    from components.tracking.parents import find_parent, given_parent

    try:
        client = connect()
        parents = experiment_id(client, PIPELINES)
        run = given_parent() or find_parent(client, parents, os.environ[PIPELINE_RUN])
        place = client.get_run(run).info.experiment_id if run else None
    except (InputError, MlflowException) as error:
        print(f"warning: no link to MLflow ({error})", flush=True)
        return None
    return f"{os.environ[MLFLOW_UI]}/#/experiments/{place}/runs/{run}" if run else None
