"""Tables in narrow terminals."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from components.console.tables import print_whole


def printed(width: int) -> str:
    table = Table(box=None)
    table.add_column("name", no_wrap=True)
    table.add_column("score", no_wrap=True)
    table.add_row("sinusoid-5shot", "1234.567 ± 890.123")
    file = io.StringIO()
    print_whole(Console(file=file, width=width), table)
    return file.getvalue()


@pytest.mark.parametrize("width", [10, 30, 80])
def test_no_name_and_no_number_is_cut(width: int) -> None:
    """A row stays one line, however narrow the terminal is."""
    assert [line.split() for line in printed(width).splitlines()] == [
        ["name", "score"],
        ["sinusoid-5shot", "1234.567", "±", "890.123"],
    ]
