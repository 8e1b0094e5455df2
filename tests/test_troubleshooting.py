"""Every message of docs/troubleshooting.md is one that the program has."""

import ast
import re
from collections.abc import Iterator

import pytest

from components.config.code import ROOT
from tests.imports import PACKAGES

ROW = re.compile(r"^\| `([^`]+)` \| .+ \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
VALUE = "\0"  # where a text of the program has a value


def texts() -> Iterator[str]:
    """Every string of the program, with VALUE where it is filled in, and the Makefile."""
    yield re.sub(r"\$\$\([^)]*\)+", VALUE, (ROOT / "Makefile").read_text())
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(
                        part.value if isinstance(part, ast.Constant) else VALUE for part in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


TEXTS = [text.replace("…", VALUE) for text in texts()]


def is_ours(message: str) -> bool:
    """Whether a text has the message's parts in their order, and values alone between them."""
    parts = [re.escape(part) for part in message.split("…") if part.strip()]
    pattern = re.compile(f"[^\n]*{VALUE}[^\n]*".join(parts))
    return any(pattern.search(text) for text in TEXTS)


@pytest.mark.parametrize("message", ROW.findall(PAGE))
def test_the_program_says_it(message: str) -> None:
    assert sum(len(part) for part in message.split("…")) >= 10, "nothing that would tell it from others"
    assert is_ours(message)


def test_every_row_of_the_tables_is_checked() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| message")]
    assert len(rows) == len(ROW.findall(PAGE)) > 30


def test_other_messages_are_not_ours() -> None:
    assert not is_ours("key … is unknown; expected some of …")
    assert not is_ours("expected one of …; key … is unknown")
