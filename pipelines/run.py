"""What `make pipeline-run` does: params.yaml and overrides in, a compiled pipeline run, a table out."""

import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from components.environment import PARENT, PIPELINE_RUN
from components.kubeflow import LOCAL_IMAGE
from components.parameters import Experiment, load_experiment, load_run, to_json
from components.parents import TAG
from components.report.step import read_summary
from components.report.summary import table
from components.tracking import PIPELINES, open_run
from metasgd.errors import InputError
from pipelines.dag import NAME, compile_pipeline, task_names
from pipelines.display import Display
from pipelines.local import refuse_python3, require_outputs, run_here
from pipelines.lost_runs import RUNS, end_lost_runs, end_lost_steps, under_way
from pipelines.pods import Pods

REPORT = "report.html"


def resolve(
    names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]
) -> tuple[list[Experiment], list[int]]:
    """The experiments and seeds that were asked for, or else those of params.yaml's `run`."""
    run = load_run()
    experiments = [load_experiment(name, overrides) for name in names or run.experiments]
    chosen = list(seeds or run.seeds)
    for what, values in (("EXPERIMENTS", [e.name for e in experiments]), ("SEEDS", chosen)):
        if len(set(values)) < len(values):
            raise InputError(f"{what} is {values}; expected each one once")
    refuse_python3([to_json(experiment) for experiment in experiments])
    return experiments, chosen


def run_pipeline(
    experiments: Sequence[Experiment], seeds: Sequence[int], console: Console, image: str | None = None
) -> Path:
    """Run the lanes on this machine and print the table; returns the folder of the run.

    image: run the steps in containers of it, instead of this interpreter.
    Raises InputError for bad input and StepFailedError where a step fails.
    """
    started = time.monotonic()
    names = [experiment.name for experiment in experiments]
    folder = RUNS / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
    folder.mkdir(parents=True)
    package, log = folder / "pipeline.yaml", folder / "run.log"
    module = "pipelines.containers" if image else "pipelines.local"
    compile_pipeline(experiments, seeds, package, Pods(image or LOCAL_IMAGE))
    tags = {"experiments": " ".join(names), TAG: folder.name}
    with under_way(folder) as lock, open_run(PIPELINES, f"{NAME} {' '.join(names)}", tags) as parent:
        end_lost_runs(parent.client)
        os.environ[PARENT] = parent.run_id
        os.environ[PIPELINE_RUN] = folder.name
        try:
            with Display(console, experiments) as display:
                run = run_here(package, folder, log, display.line, module, [lock])
        except BaseException:
            end_lost_steps(parent.client, folder.name)
            raise
        lanes = task_names([experiment.kind for experiment in experiments])
        require_outputs(run, lanes, [len(experiment.trainings(seeds)) for experiment in experiments])
        chapters = run / lanes[-1]["report"] / "chapters"
        shutil.copy(chapters / REPORT, folder / REPORT)
        parent.log_folder(chapters, "report")
    console.print(table(read_summary(chapters)))
    console.print(f"{time.monotonic() - started:.0f} s. Report: {folder / REPORT}  Compare runs: make ui")
    return folder
