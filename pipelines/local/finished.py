"""Steps that an earlier run on this machine has finished: kfp's local cache, with what it does not look at.

kfp knows a step by its component, image and arguments. Here inputs count by their contents, not by their
places, and an output is taken only as it was written, with the MLflow runs that it names. The code that runs,
and the tracking store, are in the name of the cache's folder.
"""

import hashlib
import re
import sys
from collections.abc import Mapping
from copy import copy
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kfp import dsl, local
from kfp.local import cache

from components.artifacts.runs import RUN, RUNS, read_run, read_runs
from components.config.code import ROOT, tree_digest
from components.config.environment import LOCAL, tracking_uri
from metasgd.errors import InputError
from metasgd.own_folder import content_digest, is_whole
from pipelines.local.output import taken_line

FINISHED = LOCAL / "finished"


def finished_steps(image_id: str | None = None) -> Path:
    """The cache's folder, for this code or that of an image, and this tracking store."""
    code = image_id or tree_digest(ROOT, ("metasgd", "components"), "*.py", salt=version("torch"))
    return FINISHED / hashlib.sha256(f"{code} {tracking_uri()}".encode()).hexdigest()[:16]


class FinishedSteps(cache.LocalCache):  # type: ignore[misc]
    """As kfp asks for it. Entries name places from the checkout, which another path may lead to next time."""

    def __init__(self, cache_root: str) -> None:
        super().__init__(cache_root)
        self.checkout = Path(cache_root).parents[len(FINISHED.parts)]
        self.tasks: dict[str, str] = {}

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: Mapping[str, Any],
        *others: Any,
        **more: Any,
    ) -> str:
        """The same in every lane: kfp numbers the components of further ones."""
        component = re.sub(r"-\d+$", "", component_name)
        contents = {name: _by_content(value) for name, value in arguments.items()}
        key = str(super().compute_key(component, image, full_command, contents, *others, **more))
        self.tasks[key] = component_name.removeprefix("comp-")
        return key

    def put(self, key: str, outputs: Mapping[str, dsl.Artifact]) -> None:
        kept = {name: copy(output) for name, output in outputs.items()}
        for output in kept.values():
            output.uri = str(Path(output.uri).relative_to(self.checkout))
        super().put(key, kept)

    def get(self, key: str) -> dict[str, dsl.Artifact] | None:
        outputs: dict[str, dsl.Artifact] | None = super().get(key)
        for output in (outputs or {}).values():
            output.uri = str(self.checkout / output.uri)
        if not outputs or not all(_is_there(Path(output.path)) for output in outputs.values()):
            return None
        # Not by logging or print, which kfp's threads swap under each other.
        sys.stdout.write(f"{taken_line(self.tasks[key])}\n")
        return outputs


def use_finished_steps(runner: Any, pipeline_root: str, folder: str | None = None) -> None:
    """Set kfp's local runner up. folder: of `finished_steps`; None runs every step."""
    cache.LocalCache = FinishedSteps
    local.init(runner, pipeline_root=pipeline_root, enable_caching=folder is not None, cache_root=folder)


def _by_content(value: Any) -> Any:
    if isinstance(value, dsl.Artifact):
        return content_digest(Path(value.path))
    return [_by_content(one) for one in value] if isinstance(value, list) else value


def _is_there(place: Path) -> bool:
    """Whole, and its MLflow runs in this store."""
    if place.is_file():
        return True
    # Here, because MLflow takes seconds to import, and most runs find nothing to look up.
    from components.tracking.client import connect
    from components.tracking.patience import ERRORS
    from components.tracking.runs import find_run

    try:
        return is_whole(place) and all(find_run(connect(), run) is not None for run in _runs(place))
    except (InputError, *ERRORS):
        return False


def _runs(folder: Path) -> list[str]:
    records = [*read_runs(folder / RUNS).values(), read_run(folder / RUN)]
    return [record.run_id for record in records if record]
