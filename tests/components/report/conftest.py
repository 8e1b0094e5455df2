"""A lane fabricated on disk, so that the report can be tested without training anything."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fabricated import written_lane


@pytest.fixture
def write_lane(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write results and decision of a lane: `write_lane(name, results, decision) -> (folder, file)`."""
    return partial(written_lane, tmp_path)
