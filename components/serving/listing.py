"""Tables for a terminal: the first rows, and how many more there are."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.console.tables import print_whole
from components.serving.names import legible

ROWS = 20


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print the first rows. numbers: the columns that are set flush right. Nothing in a cell is markup."""
    console = Console(emoji=False, highlight=False)
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, justify="right" if name in numbers else "left", no_wrap=True)
    for row in rows[:ROWS]:
        table.add_row(*(Text(legible(cell)) for cell in row))
    print_whole(console, table)
    if len(rows) > ROWS:
        console.print(Text(f"... and {len(rows) - ROWS:,} more rows"))


def print_line(text: str) -> None:
    Console(emoji=False, highlight=False).print(Text(legible(text)), soft_wrap=True)
