"""A lane fabricated on disk, so that the report can be tested without training anything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write_lane(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write results and decision of a lane: `write_lane(name, results, decision) -> (folder, file)`."""

    def write(name: str, results: list[dict[str, Any]], verdict: dict[str, Any]) -> tuple[Path, Path]:
        folder, file = tmp_path / name / "results", tmp_path / name / "decision.json"
        folder.mkdir(parents=True)
        for one in results:
            path = folder / f"{one['algorithm']}-seed{one['seed']}.json"
            path.write_text(json.dumps(one))
        file.write_text(json.dumps(verdict))
        return folder, file

    return write
