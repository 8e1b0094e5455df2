"""Draw the stored tasks once for everybody, from a distribution or from pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.config.settings import TaskSettings
from metasgd.errors import InputError
from metasgd.own_folder import own_folder

if TYPE_CHECKING:
    from components.datasets.pinned import Pin  # with boto3, which other runs need not import


def preprocess(tasks: TaskSettings, output: Path, pinned: "Pin | None" = None, strict: bool = False) -> None:
    """Write the episodes folder (components.artifacts.episodes), whole or not at all.

    pinned: download the pictures' files first; the episodes are those that the files in place would give.
    strict: what is odd about the data is an error; otherwise it is a warning, in one line.
    Raises InputError for data that is missing or damaged, and for episodes that the classes cannot fill.
    """
    with own_folder(output, "components.preprocess") as folder:
        odd = "; ".join(tasks.draw(folder, pinned))
        if odd and strict:
            raise InputError(f"{tasks.place}: {odd}; expected nothing odd, by CHECK=strict")
    if odd:
        print(f"{tasks.place}: warning: {odd}", flush=True)
