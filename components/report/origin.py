"""Where a report comes from: the time, and the way to the MLflow runs."""

import os
import time
from dataclasses import dataclass
from typing import NamedTuple

from components.config.environment import MLFLOW_UI, PARENT, PIPELINE_RUN, STARTED
from components.console.messages import without_credentials
from metasgd.errors import InputError

UI = "http://127.0.0.1:5000"  # where `make ui` shows the store of this folder


@dataclass(frozen=True)
class Origin:
    """Of a report that differs from run to run.

    ui: MLflow's address, as browsers see it. page: the page there of the run that stands for all of them.
    started, written: when the pipeline began, where that is known, and the report was written, in seconds
        since 1970.
    """

    ui: str
    page: str | None
    started: float | None
    written: float

    def run(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.ui}/#/runs/{run_id}"


class Parent(NamedTuple):
    """The run that stands for the pipeline run. page: its address. started: as Origin's."""

    page: str
    started: float | None


def origin_of_run() -> Origin:
    """Of the pipeline run, or command, that this process is a step of."""
    page, started = find_parent_run() or (None, None)
    return Origin(_ui(), page, started, time.time())


def _ui() -> str:
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    shown = without_credentials(server).rstrip("/") if server.startswith(("http://", "https://")) else UI
    return os.environ.get(MLFLOW_UI, shown)


def find_parent_run() -> Parent | None:
    """By what the launcher says; on a cluster, by what MLflow says, where it answers and has the run."""
    if MLFLOW_UI in os.environ and PIPELINE_RUN in os.environ:
        return _asked(os.environ[PIPELINE_RUN])
    if PARENT in os.environ:
        started = os.environ.get(STARTED)
        return Parent(f"{_ui()}/#/runs/{os.environ[PARENT]}", float(started) if started else None)
    return None


def _asked(pipeline_run: str) -> Parent | None:
    # Not at the top: MLflow takes seconds to import, which a report elsewhere can do without.
    from mlflow.exceptions import MlflowException

    from components.tracking.client import PIPELINES, connect, experiment_id
    from components.tracking.parents import find_parent, given_parent

    try:
        client = connect()
        parents = experiment_id(client, PIPELINES)
        run = given_parent() or find_parent(client, parents, pipeline_run)
        info = client.get_run(run).info if run else None
    except (InputError, MlflowException) as error:
        print(f"warning: no link to MLflow ({error})", flush=True)
        return None
    if info is None:
        return None
    page = f"{os.environ[MLFLOW_UI]}/#/experiments/{info.experiment_id}/runs/{run}"
    return Parent(page, info.start_time / 1000)
