"""The kinds of task that there are, by the names that params.yaml gives them."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from components.artifacts.episodes import read_episodes
from components.config.parsing import from_document
from components.config.settings import TaskSettings
from components.kinds.control import Control
from components.kinds.images import Images
from components.kinds.kind import Kind
from components.kinds.sinusoid import Sinusoid
from metasgd.errors import InputError

KINDS: dict[str, type[Kind]] = {"sinusoid": Sinusoid, "images": Images, "control": Control}

if TYPE_CHECKING:
    TaggedTasks = TaskSettings
else:
    schemas = reduce(or_, (kind.schema for kind in KINDS.values()))
    TaggedTasks = Annotated[schemas, Field(discriminator="kind")]


def load_tasks(folder: Path) -> Kind:
    """The tasks of an episodes folder. Raises InputError for one that is missing, damaged or foreign."""
    episodes = read_episodes(folder)
    kind = episodes.manifest.tasks.get("kind")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"{folder}: tasks.kind is {kind!r}; expected one of {known}")
    return KINDS[kind].of(episodes)


def task_settings(section: Mapping[str, Any] | None, where: str) -> TaskSettings:
    """The section `tasks` that a checkpoint keeps. Raises InputError for one that does not say it."""
    kind = (section or {}).get("kind")
    if kind not in KINDS:
        raise InputError(f"{where}: does not say how its examples are prepared; expected a later training")
    return from_document(KINDS[kind].schema, section, where)
