"""Draw the stored tasks once for everybody, from a distribution or from pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.config.settings import TaskSettings
from metasgd.own_folder import own_folder

if TYPE_CHECKING:
    from components.datasets.pinned import Pin  # with boto3, which other runs need not import


def preprocess(tasks: TaskSettings, output: Path, pinned: "Pin | None" = None) -> None:
    """Write the episodes folder (components.artifacts.episodes), whole or not at all.

    pinned: download the pictures' files first; the episodes are those that the files in place would give.
    Raises InputError for data that is missing or damaged, and for episodes that the classes cannot fill.
    """
    with own_folder(output, "components.preprocess") as folder:
        tasks.draw(folder, pinned)
