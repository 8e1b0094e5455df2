"""Tables that are printed whole."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_whole(console: Console, table: Table) -> None:
    """Print it wider than the console where its longest cells ask for that: nothing is cut or wrapped."""
    unbounded = console.options.update(max_width=1000)
    longest = Measurement.get(console, unbounded, table).maximum
    table.width = longest if longest > console.width else None
    console.print(table, crop=False)
