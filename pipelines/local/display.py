"""What a person sees of a running pipeline: the step at work, and how far each training is."""

import re
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import TaskID

from components.console.progress import MARK, Lines, bars
from pipelines.dag import Lane
from pipelines.local.output import STARTED, TAKEN

NOTE = re.compile(r": (warning: |continues from )")  # what a training says besides its progress


class Display:
    """Reads the lines of a run; use as a context, because bars redraw themselves until it ends.

    In a terminal a training has a bar, elsewhere a line now and then.
    """

    def __init__(self, console: Console, lanes: Sequence[Lane]) -> None:
        self.console = console
        self.bars = bars(console)
        self.trainings: dict[str, TaskID] = {}
        self.lines: dict[str, Lines] = {}
        self.steps = {
            task: f"{lane.experiment}: {step}" for lane in lanes for step, task in lane.tasks.items()
        }
        self.shown: set[str] = set()

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.bars.stop()

    def line(self, text: str) -> None:
        """One line of the run's output."""
        if text.startswith(MARK):
            name, done, total, values = text.removeprefix(MARK).rsplit("|", 3)
            advance = self._advance if self.console.is_terminal else self._say
            advance(name, int(done), int(total), values)
        elif (started := STARTED.search(text)) and started[1] not in self.shown:
            self.shown.add(started[1])
            self.console.print(self.steps.get(started[1], started[1]))
        elif taken := TAKEN.search(text):
            self.console.print(f"{self.steps.get(taken[1], taken[1])}: finished by an earlier run")
        elif NOTE.search(text):
            self.console.print(text, markup=False)

    def _advance(self, name: str, done: int, total: int, values: str) -> None:
        if name not in self.trainings:
            self.trainings[name] = self.bars.add_task(name, total=total, values="")
        self.bars.update(self.trainings[name], completed=done, values=values)

    def _say(self, name: str, done: int, total: int, values: str) -> None:
        if line := self.lines.setdefault(name, Lines(name, total)).line(done, values):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
