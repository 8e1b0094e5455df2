"""Who started a run, and how: the columns User and Source of MLflow's UI, and a tag to filter by."""

import getpass
import os
import sys
from pathlib import Path

from components.config.environment import PARENT, PIPELINE_RUN, PLUGIN

STARTED_BY = "started_by"  # the tag: "pipeline", "Kubeflow", "DVC" or "command"
DVC_STAGE = "DVC_STAGE"  # DVC sets it for the commands of its stages
LAUNCHER = "pipelines"  # the module that runs a pipeline on this machine


def origin_tags() -> dict[str, str]:
    started_by, how = _started()
    return {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": how,
        STARTED_BY: started_by,
    }


def _started() -> tuple[str, str]:
    """By whom, and the command as a person would type it."""
    if stage := os.environ.get(DVC_STAGE):
        return "DVC", f"dvc repro {stage}"
    module = _module()
    if PARENT in os.environ or module == LAUNCHER:
        return "pipeline", "make pipeline-run"
    if PIPELINE_RUN in os.environ or PLUGIN in os.environ:
        return "Kubeflow", "Kubeflow Pipelines"
    return "command", f"python -m {module}"


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).stem


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user, whom nobody has named
        return "unknown"
