"""A compiled pipeline, run on this machine below an MLflow run of its own."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from components.component import LOCAL_IMAGE
from components.config.environment import PARENT, PIPELINE_RUN, STARTED
from components.console.progress import PROGRESS, READ
from components.console.signals import raising_terminated
from components.tracking.client import PIPELINES
from components.tracking.parents import TAG
from components.tracking.readiness import require_ready
from components.tracking.runs import TrackedRun, open_run
from pipelines.dag import Lane
from pipelines.local.containers import require_image
from pipelines.local.display import Display
from pipelines.local.finished import finished_steps
from pipelines.local.interpreter import require_outputs, run_here
from pipelines.local.lost_runs import RUNS, end_lost_runs, end_lost_steps, under_way
from pipelines.pods import Pods


@dataclass(frozen=True)
class Job:
    """What is run.

    name, params: of its MLflow run. models: that it registers.
    compile: writes the pipeline of these lanes as YAML.
    """

    name: str
    params: Mapping[str, object]
    lanes: Sequence[Lane]
    models: Sequence[str]
    compile: Callable[[Path, Pods], None]


@dataclass(frozen=True)
class Launched:
    """folder: of the run. outputs: the folder in it with a folder per task. parent: its MLflow run."""

    folder: Path
    outputs: Path
    parent: TrackedRun


@contextmanager
def launched(
    job: Job, console: Console, image: str | None = None, use_finished: bool = True
) -> Iterator[Launched]:
    """Run it to its end; the MLflow run ends with the context.

    image: run the steps in containers of it, instead of this interpreter.
    use_finished: take the steps that an earlier run has finished from there.
    Raises InputError for bad input and StepFailedError where a step fails.
    """
    contents = require_image(image) if image else None
    folder = RUNS / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
    folder.mkdir(parents=True)
    package, log = folder / "pipeline.yaml", folder / "run.log"
    finished = finished_steps(contents) if use_finished else None
    module = "pipelines.local.containers" if image else "pipelines.local.warm"
    job.compile(package, Pods(image or LOCAL_IMAGE))
    tags = {"experiments": " ".join(lane.experiment for lane in job.lanes), TAG: folder.name}
    with raising_terminated(), under_way(folder) as lock, open_run(PIPELINES, job.name, tags) as parent:
        parent.log_params(job.params)
        end_lost_runs(parent.client)
        require_ready(parent.client, [PIPELINES], job.models)
        told = {PARENT: parent.run_id, PIPELINE_RUN: folder.name, STARTED: str(time.time()), PROGRESS: READ}
        try:
            with _environment(told), Display(console, job.lanes) as display:
                run, taken = run_here(package, folder, log, display.line, module, [lock], finished)
        except BaseException:
            end_lost_steps(parent.client, folder.name)
            raise
        require_outputs(run, job.lanes, taken)
        yield Launched(folder, run, parent)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """What steps read, until the last of them has ended: another run may follow in this process."""
    earlier = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in earlier.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
