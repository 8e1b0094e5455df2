"""What `make pipeline-run` does: params.yaml and overrides in, a compiled pipeline run, a table out."""

import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from components.component import LOCAL_IMAGE
from components.config.environment import PARENT, PIPELINE_RUN, STARTED
from components.config.parsing import to_json
from components.console.progress import PROGRESS, READ
from components.console.signals import raising_terminated
from components.console.tables import print_whole
from components.kinds.experiment import Experiment
from components.report.step import read_summary
from components.report.summary import comparisons, table
from components.tracking.client import PIPELINES
from components.tracking.parents import TAG
from components.tracking.readiness import require_ready
from components.tracking.runs import open_run
from pipelines.dag import compile_pipeline, task_names
from pipelines.local.containers import require_image
from pipelines.local.display import Display
from pipelines.local.finished import finished_steps
from pipelines.local.interpreter import refuse_python3, require_outputs, run_here
from pipelines.local.lost_runs import RUNS, end_lost_runs, end_lost_steps, under_way
from pipelines.local.parent import log_outcome, parameters, run_name
from pipelines.options import command_line
from pipelines.pods import Pods

REPORT = "report.html"


def run_pipeline(
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    console: Console,
    image: str | None = None,
    check: str = "",
    use_finished: bool = True,
    overrides: Sequence[str] = (),
) -> Path:
    """Run the lanes on this machine and print the table; returns the folder of the run.

    image: run the steps in containers of it, instead of this interpreter.
    check: "strict", where what is odd about the data is an error.
    use_finished: take the steps that an earlier run has finished from there.
    overrides: those that the experiments hold, for the report to name.
    Raises InputError for bad input and StepFailedError where a step fails.
    """
    started = time.monotonic()
    contents = require_image(image) if image else None
    refuse_python3([to_json(experiment) for experiment in experiments])
    names = [experiment.name for experiment in experiments]
    folder = RUNS / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
    folder.mkdir(parents=True)
    package, log = folder / "pipeline.yaml", folder / "run.log"
    finished = finished_steps(contents) if use_finished else None
    module = "pipelines.local.containers" if image else "pipelines.local.warm"
    command = command_line(names, seeds, overrides)
    compile_pipeline(experiments, seeds, package, Pods(image or LOCAL_IMAGE), check=check, command=command)
    tags = {"experiments": " ".join(names), TAG: folder.name}
    with (
        raising_terminated(),
        under_way(folder) as lock,
        open_run(PIPELINES, run_name(experiments, overrides), tags) as parent,
    ):
        parent.log_params(parameters(experiments, seeds, overrides))
        end_lost_runs(parent.client)
        models = [experiment.name for experiment in experiments if not experiment.promote.dry_run]
        require_ready(parent.client, [PIPELINES], models)
        os.environ[PARENT] = parent.run_id
        os.environ[PIPELINE_RUN] = folder.name
        os.environ[STARTED] = str(time.time())
        os.environ[PROGRESS] = READ
        try:
            with Display(console, experiments) as display:
                run, taken = run_here(package, folder, log, display.line, module, [lock], finished)
        except BaseException:
            end_lost_steps(parent.client, folder.name)
            raise
        lanes = task_names([experiment.kind for experiment in experiments])
        trainings = [len(experiment.trainings(seeds)) for experiment in experiments]
        require_outputs(run, lanes, trainings, taken)
        chapters = run / lanes[-1]["report"] / "chapters"
        shutil.copy(chapters / REPORT, folder / REPORT)
        rows = read_summary(chapters)
        log_outcome(parent, rows, chapters)
    print_whole(console, table(rows))
    for line in comparisons(rows):
        console.print(line, soft_wrap=True, markup=False)
    seconds = time.monotonic() - started
    console.print(f"{seconds:.0f} s. Report: {folder / REPORT}  Compare runs: make ui", soft_wrap=True)
    return folder
