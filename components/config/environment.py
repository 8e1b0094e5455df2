"""The environment variables by which a runner tells a step where it stands, and the folder of what runs keep.

They are no inputs of the step, because what differs from run to run would keep KFP's cache from hitting.
"""

import os
from pathlib import Path

# Below the current folder: the tracking store, runs, states, and what is compiled.
LOCAL = Path(".local")

# The MLflow run that the launcher opened; it ends it, too.
PARENT = "METASGD_PARENT_RUN_ID"
# The same by Kubeflow's MLflow plugin: a run of this task, under one of the pipeline run.
PLUGIN = "MLFLOW_RUN_ID"
# The id of the pipeline run: the launcher's, or Kubeflow's by the downward API.
PIPELINE_RUN = "METASGD_PIPELINE_RUN"
# When the launcher began, in seconds since 1970.
STARTED = "METASGD_STARTED"
# The address of the Kubeflow Pipelines API, and MLflow's as browsers see it.
KFP_API = "METASGD_KFP_API"
MLFLOW_UI = "METASGD_MLFLOW_UI"
# Where trainings keep their state: a folder, or s3://bucket/prefix.
STATES = "METASGD_STATES"
# How many seconds a tracking store may be away.
PATIENCE = "METASGD_PATIENCE"
# Where torch keeps what it compiles.
COMPILED = "TORCHINDUCTOR_CACHE_DIR"
# Set in the image: its reference, and the commit of the code in it.
IMAGE = "METASGD_IMAGE"
COMMIT = "METASGD_COMMIT"


def tracking_uri() -> str:
    """The address of the tracking store: MLFLOW_TRACKING_URI, or else a database here."""
    return os.environ.get("MLFLOW_TRACKING_URI") or local_store()


def local_store() -> str:
    return f"sqlite:///{LOCAL.resolve() / 'mlflow.db'}"
