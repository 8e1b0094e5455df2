"""What a person sees of a running pipeline: the step at work, and a bar per training."""

import re
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import TaskID

from components.console.progress import MARK, bars
from components.kinds.experiment import Experiment
from pipelines.dag import task_names
from pipelines.local.output import STARTED, TAKEN

NOTE = re.compile(r": (warning: |continues from )")  # what a training says besides its progress


class Display:
    """Reads the lines of a run; use as a context, because bars redraw themselves until it ends."""

    def __init__(self, console: Console, experiments: Sequence[Experiment]) -> None:
        self.console = console
        self.bars = bars(console)
        self.trainings: dict[str, TaskID] = {}
        lanes = task_names([experiment.kind for experiment in experiments])
        self.steps = {
            task: f"{experiment.name}: {step}"
            for experiment, lane in zip(experiments, lanes, strict=True)
            for step, task in lane.items()
        }
        self.shown: set[str] = set()

    def __enter__(self) -> "Display":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def line(self, text: str) -> None:
        """One line of the run's output."""
        if text.startswith(MARK):
            self._advance(*text.removeprefix(MARK).split("|"))
        elif (started := STARTED.search(text)) and started[1] not in self.shown:
            self.shown.add(started[1])
            self.console.print(self.steps.get(started[1], started[1]))
        elif taken := TAKEN.search(text):
            self.console.print(f"{self.steps.get(taken[1], taken[1])}: finished by an earlier run")
        elif NOTE.search(text):
            self.console.print(text, markup=False)

    def _advance(self, name: str, done: str, total: str, values: str) -> None:
        if name not in self.trainings:
            self.trainings[name] = self.bars.add_task(name, total=int(total), values="")
        self.bars.update(self.trainings[name], completed=int(done), values=values)
