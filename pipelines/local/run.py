"""What `make pipeline-run` does: params.yaml and overrides in, a compiled pipeline run, a table out."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from components.config.parsing import to_json
from components.console.tables import print_whole
from components.kinds.experiment import Experiment
from components.report.step import read_summary
from components.report.summary import comparisons, table
from pipelines.dag import compile_pipeline, lanes_of
from pipelines.local.interpreter import refuse_python3
from pipelines.local.launch import Job, launched
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
    refuse_python3([to_json(experiment) for experiment in experiments])
    command = command_line([experiment.name for experiment in experiments], seeds, overrides)

    def compile(package: Path, pods: Pods) -> None:
        compile_pipeline(experiments, seeds, package, pods, check=check, command=command)

    job = Job(
        name=run_name(experiments, overrides),
        params=parameters(experiments, seeds, overrides),
        lanes=lanes_of(experiments, seeds),
        models=[experiment.name for experiment in experiments if not experiment.promote.dry_run],
        compile=compile,
    )
    with launched(job, console, image, use_finished) as run:
        chapters = run.outputs / job.lanes[-1].tasks["report"] / "chapters"
        shutil.copy(chapters / REPORT, run.folder / REPORT)
        rows = read_summary(chapters)
        log_outcome(run.parent, rows, chapters)
    print_whole(console, table(rows))
    for line in comparisons(rows):
        console.print(line, soft_wrap=True, markup=False)
    seconds = time.monotonic() - started
    console.print(f"{seconds:.0f} s. Report: {run.folder / REPORT}  Compare runs: make ui", soft_wrap=True)
    return run.folder
