"""When a schedule runs: six fields, as Kubeflow Pipelines reads them."""

import re

from metasgd.errors import InputError

# seconds, minutes, hours, days of the month, months, days of the week; the last two know names, too.
FIELDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NAMES = {4: MONTHS, 5: DAYS}  # field -> names of its numbers, from the lowest on
PART = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?", re.ASCII)


def require_cron(text: str) -> None:
    """Raises InputError for what is no schedule; descriptors as @daily are one."""
    if re.fullmatch(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)", text):
        return
    fields = text.split()
    if len(fields) != len(FIELDS) or not all(map(_is_field, range(len(FIELDS)), fields)):
        raise InputError(f'CRON is {text!r}; expected six fields from seconds on, as in "0 0 3 * * *"')


def _is_field(index: int, field: str) -> bool:
    return all(_is_part(index, part) for part in field.split(","))


def _is_part(index: int, part: str) -> bool:
    found = PART.fullmatch(part)
    if found is None:
        return False
    lowest, highest = FIELDS[index]
    ends = [_number(index, end) for end in found.groups()[:2] if end is not None]
    return all(lowest <= end <= highest for end in ends) and ends == sorted(ends)


def _number(index: int, text: str) -> int:
    """-1, which no field takes, for what is no number and no name."""
    if text.isdigit():
        return int(text)
    names = NAMES.get(index, ())
    return names.index(text.lower()) + FIELDS[index][0] if text.lower() in names else -1
