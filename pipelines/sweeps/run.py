"""A sweep on this machine: every training, the ranking, and the best point as a part of params.yaml."""

import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.artifacts.choice import BEST, Choice, read_choice
from components.choose.snippet import cells
from components.config.parsing import to_json
from components.console.tables import print_whole
from pipelines.local.interpreter import refuse_python3
from pipelines.local.launch import Job, launched
from pipelines.pods import Pods
from pipelines.sweeps.dag import compile_sweep, items
from pipelines.sweeps.sweep import Sweep


def run_sweep(
    sweep: Sweep, console: Console, image: str | None = None, check: str = "", use_finished: bool = True
) -> Path:
    """Run it and print the ranking; returns the file with the best point.

    The options are those of `pipelines.local.run.run_pipeline`.
    Raises InputError for bad input and where all points diverge, StepFailedError where a step fails.
    """
    started = time.monotonic()
    refuse_python3([to_json(sweep.experiment), *items(sweep)])

    def compile(package: Path, pods: Pods) -> None:
        compile_sweep(sweep, package, pods, check=check)

    job = Job(sweep.name, sweep.params, [sweep.lane], [], compile)
    with launched(job, console, image, use_finished) as run:
        choice = run.outputs / "choose" / "choice"
        best = Path(shutil.copy(choice / BEST, run.folder / BEST))
    print_whole(console, ranking_table(read_choice(choice)))
    console.print(best.read_text(), markup=False, highlight=False, soft_wrap=True)
    seconds = time.monotonic() - started
    console.print(f"{seconds:.0f} s. Best point: {best}  Compare points: make ui", soft_wrap=True)
    return best


def ranking_table(choice: Choice) -> Table:
    seeds = list(choice.best.scores)
    table = Table(title=f"{choice.experiment} {choice.algorithm}: validation tasks", title_justify="left")
    table.add_column("point")
    for name in (choice.metric, *(f"seed {seed}" for seed in seeds if len(seeds) > 1)):
        table.add_column(name, justify="right")
    for point in choice.ranking:
        table.add_row(point.name, *cells(point))
    return table
