"""A user's points: CSV files of numbers, with a header."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from metasgd.errors import InputError

SHOWN = 60  # characters of a line that a message shows
LARGEST = torch.finfo(torch.float32).max


def columns(name: str, count: int) -> list[str]:
    """The columns of numbers that belong together: ["x"], or ["x0", "x1"]."""
    return [name] if count == 1 else [f"{name}{number}" for number in range(count)]


def read_points(path: Path, expected: Sequence[str]) -> Tensor:
    """The rows under the header, float32 [rows, columns]; empty lines are passed over.

    Raises InputError with the number of the line that has another header, another number of columns, or
    what is no finite number.
    """
    lines = _lines(path)
    number, header = lines[0] if lines else (1, [])
    if [name.strip() for name in header] != list(expected):
        found = ",".join(header)[:SHOWN]
        raise InputError(f"{path} line {number} is {found!r}; expected the header {','.join(expected)}")
    rows = [_row(path, number, fields, expected) for number, fields in lines[1:]]
    if not rows:
        raise InputError(f"{path} holds no points; expected lines of {','.join(expected)} under the header")
    return torch.tensor(rows, dtype=torch.float32)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(number in the file, fields) of the lines that are not empty."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file; expected a CSV file")
    try:
        text = path.read_text("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""))
        return [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text; expected a CSV file in UTF-8") from None
    except csv.Error as error:
        raise InputError(
            f"{path} line {reader.line_num}: {error}; expected comma-separated numbers"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); expected a CSV file") from None


def _row(path: Path, number: int, fields: Sequence[str], expected: Sequence[str]) -> list[float]:
    if len(fields) != len(expected):
        raise InputError(
            f"{path} line {number} has {len(fields)} columns; expected {len(expected)}: {','.join(expected)}"
        )
    return [_number(path, number, *pair) for pair in zip(expected, fields, strict=True)]


def _number(path: Path, number: int, column: str, field: str) -> float:
    try:
        value = float(field)
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST:  # neither is NaN
        raise InputError(f"{path} line {number}: {column} is {field[:SHOWN]!r}; expected a finite number")
    return value
