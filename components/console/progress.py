"""Progress of long work: a bar in a terminal, plain lines that a launcher can read elsewhere."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

Progress = Callable[[int, Mapping[str, float]], None]
MARK = "::progress::"


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


@contextmanager
def progress(name: str, total: int) -> Iterator[Progress]:
    """A function to call with (done, values). Lines look like ::progress::name|done|total|values."""
    if not sys.stderr.isatty():
        yield lambda done, values: print(f"{MARK}{name}|{done}|{total}|{_text(values)}", flush=True)
        return
    with bars(Console(stderr=True)) as display:
        task = display.add_task(name, total=total, values="")
        yield lambda done, values: display.update(task, completed=done, values=_text(values))


def _text(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
