"""Measurements of finished workloads, which an interrupted `make bench` need not repeat."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.engine.measure import Measured
from benchmarks.engine.workloads import Workload

FOLDER = Path(".local/bench")


def commit() -> str:
    """That of the code here; it ends in "-dirty" where files differ."""
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()


def kept(workload: Workload, rounds: int, measure: Callable[[], Measured]) -> Measured:
    """What was measured at this commit in so many rounds; measured now where nothing was."""
    path = FOLDER / commit() / f"{workload.name}-{rounds}.json"
    if path.exists() and "dirty" not in str(path):
        return Measured(workload, **json.loads(path.read_text()))
    measured = measure()
    values = {name: value for name, value in asdict(measured).items() if name != "workload"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return measured
