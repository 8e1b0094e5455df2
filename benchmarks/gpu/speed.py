"""Time meta-iterations on a GPU, here and in other libraries: python -m benchmarks.gpu.speed --minutes 9

Repeated with the same --state, it measures what is not measured yet, and prints the tables of all that is.
TorchOpt and JAX are measured where they can be imported.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.engine.workloads import WORKLOADS
from benchmarks.gpu.precision import PRECISIONS
from benchmarks.gpu.prepared import PREPARED
from benchmarks.gpu.row import Row
from benchmarks.gpu.ways import CUDA_ONLY, WAYS
from components.console.command import run_command
from metasgd.errors import InputError
from metasgd.files import write_atomically
from metasgd.loop import pick_device

LIBRARIES = ("torchopt", "jax")
META_BATCHES = (8, 32, 128, 512, 2048)  # for memory, of the first workload
LONGEST = 240.0  # seconds of a row
Measured = dict[str, dict[str, Any]]


def main() -> None:
    options = _parser().parse_args()
    device = pick_device(options.device).type
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    machine = f"torch {torch.__version__}, {name}"
    found = _read(options.state, machine)
    rows = list(_rows(options.workloads, options.ways, options.precisions, device, options.iterations))
    end = time.perf_counter() + 60 * options.minutes
    for row in rows:
        if row.key not in found:
            left = end - time.perf_counter()
            if left <= 0:
                break
            result = measure(row, min(LONGEST, left))
            if result is None and left < LONGEST:
                break  # it gets all of its time in the next call
            found[row.key] = result or {"failed": f"took longer than {LONGEST:.0f} s"}
            content = json.dumps({"machine": machine, "rows": found}, indent=1)
            write_atomically(options.state, content.encode())
    print(report(machine, [row for row in rows if row.key in found], found))
    missing = sum(row.key not in found for row in rows)
    print(f"\n{missing} rows are left; the same command continues" if missing else "\nall is measured")


def _rows(
    workloads: list[str], ways: list[str], precisions: list[str], device: str, count: int
) -> Iterator[Row]:
    """First the speeds, then memory against meta-batch."""
    here = [way for way in ways if way not in LIBRARIES or find_spec(way)]
    here = [way for way in here if device == "cuda" or way not in CUDA_ONLY]
    for workload in workloads:
        for precision in precisions:
            for way in here:
                yield Row(workload, way, precision, device, iterations=count)
    fastest = [way for way in ("captured", "compiled", "eager") if way in here][:1]
    for way in fastest:
        for tasks in META_BATCHES if device == "cuda" else META_BATCHES[:1]:
            yield Row(workloads[0], way, precisions[0], device, tasks, count)


def measure(row: Row, seconds: float) -> dict[str, Any] | None:
    """None where it took longer. What fails says why, in its last line."""
    command = [sys.executable, "-m", "benchmarks.gpu.row", row.key]
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # or JAX takes three quarters
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no word"]
    result = json.loads(lines[-1]) if done.returncode == 0 else {"failed": lines[-1][:200]}
    said = result.get("failed") or f"{1000 * median(result['seconds']):.3g} ms"
    print(f"{row.workload}, {row.way}, {row.precision}, {row.tasks or 'its'} tasks: {said}", flush=True)
    return result


def _read(path: Path, machine: str) -> Measured:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return {}
    try:
        content = json.loads(path.read_text())
        theirs, rows = content["machine"], content["rows"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no state of benchmarks.gpu.speed; delete it to start anew") from None
    if theirs != machine:
        raise InputError(f"{path}: was measured with {theirs}; expected {machine}")
    return rows


def report(machine: str, rows: list[Row], found: Measured) -> str:
    """Markdown."""
    head = (
        "| workload | tasks | way | precision | ms | iterations/s | tasks/s | of the matmul rate | peak, MB |"
    )
    lines = [_line(row, found[row.key]) for row in rows]
    return "\n".join([f"{machine}:", "", head, "|---" * 9 + "|", *lines])


def _line(row: Row, result: dict[str, Any]) -> str:
    if "failed" in result:
        cells = [f"fails: {result['failed']}".replace("|", "/"), *[""] * 4]
        tasks = row.tasks or WORKLOADS[row.workload].tasks
    else:
        seconds, tasks = median(result["seconds"]), result["tasks"]
        share = result["operations"] / seconds / result["matmul"]
        spread = f"{1000 * min(result['seconds']):.3g} to {1000 * max(result['seconds']):.3g}"
        cells = [
            f"{1000 * seconds:.3g} ({spread})", f"{1 / seconds:.4g}", f"{tasks / seconds:.4g}",
            f"{share:.2g}", f"{result['peak']:.0f}",
        ]  # fmt: skip
    return "| " + " | ".join([row.workload, str(tasks), row.way, row.precision, *cells]) + " |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.speed", description="Time meta-iterations on a GPU."
    )
    first = ["omniglot-1", "omniglot-20way", "omniglot-15", "miniimagenet", "sine-4", "sine-100"]
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=first)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument(
        "--state", type=Path, default=PREPARED / "speed.json", help="file of what is measured"
    )
    parser.add_argument("--minutes", type=float, default=9, help="after which this call ends")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--iterations", type=int, default=0, help="of a round, for a trial; 0 for a second's")
    return parser


if __name__ == "__main__":
    run_command(main)
