"""Progress of long work: bars in a terminal, lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from components.console.messages import duration

Progress = Callable[[int, Mapping[str, float]], None]
# An environment variable: READ where a launcher draws what it reads, ::progress::name|done|total|values.
PROGRESS, READ = "METASGD_PROGRESS", "read"
MARK = "::progress::"
PAUSE = 10.0  # seconds between two lines of the same work


def bars(console: Console | None = None) -> RichProgress:
    """The look of all bars: name, bar, count, remaining time, latest values."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[values]}"),
    )
    return RichProgress(*columns, console=console)


class Lines:
    """A line now and then: how far it is, and about how long the rest takes. The last one always comes."""

    def __init__(self, name: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.total, self.clock = name, total, clock
        self.first: tuple[int, float] | None = None
        self.last = -PAUSE

    def line(self, done: int, values: str) -> str | None:
        """What to print now, if anything."""
        now = self.clock()
        start, since = self.first = self.first or (done, now)
        if now < self.last + PAUSE and done < self.total:
            return None
        self.last = now
        words = [f"{self.name}: {done:,} of {self.total:,}", *([values] if values else [])]
        if start < done < self.total:
            words.insert(1, f"about {duration((now - since) * (self.total - done) / (done - start))} left")
        return ", ".join(words)


@contextmanager
def progress(name: str, total: int) -> Iterator[Progress]:
    """A function to call with (done, values)."""
    if os.environ.get(PROGRESS) == READ:
        yield lambda done, values: print(f"{MARK}{name}|{done}|{total}|{_text(values)}", flush=True)
        return
    if not sys.stderr.isatty():
        lines = Lines(name, total)
        yield lambda done, values: _say(lines.line(done, _text(values)))
        return
    with bars(Console(stderr=True)) as display:
        task = display.add_task(name, total=total, values="")
        yield lambda done, values: display.update(task, completed=done, values=_text(values))


def _say(line: str | None) -> None:
    if line:
        print(line, flush=True)


def _text(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
