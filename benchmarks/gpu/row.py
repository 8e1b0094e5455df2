"""One measurement, in a process of its own, as JSON on its last line: python -m benchmarks.gpu.row '{…}'

`benchmarks.gpu.speed` starts it: so one that runs out of memory costs its own row alone.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch

from benchmarks.engine.workloads import MULTIPLE, WORKLOADS, Workload
from benchmarks.gpu.precision import set_precision
from benchmarks.gpu.ways import WAYS

ROUNDS = 3
SECONDS = 1.0  # of a round, at least
SIDE = {"cpu": 512, "cuda": 8192}  # of the square matrices whose products show what the device can do
PRODUCTS = 20


@dataclass(frozen=True)
class Row:
    """What is measured.

    tasks: of a meta-batch, or 0 for the workload's. iterations: of a round, or 0 for SECONDS of them.
    """

    workload: str
    way: str
    precision: str
    device: str
    tasks: int = 0
    iterations: int = 0

    @property
    def key(self) -> str:
        return json.dumps(asdict(self))


def measured(row: Row) -> dict[str, object]:
    """seconds: of an iteration, by round. matmul: operations per second. peak: of memory, in MB."""
    set_precision(row.precision)
    workload = replace(WORKLOADS[row.workload], device=row.device)
    workload = replace(workload, tasks=row.tasks or workload.tasks)
    matmul = matmul_rate(row.device, row.precision)
    trainer = WAYS[row.way](workload, row.precision)
    step = _step(workload, row.way)
    seconds_of(trainer.run, step, row.device)  # compiles
    count = row.iterations or step * math.ceil(SECONDS / seconds_of(trainer.run, step, row.device))
    if row.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = [seconds_of(trainer.run, count, row.device) / count for _ in range(ROUNDS)]
    return {
        "seconds": seconds,
        "matmul": matmul,
        "operations": workload.operations(),
        "tasks": workload.tasks,
        "peak": _peak(row),
    }


def _step(workload: Workload, way: str) -> int:
    """JAX takes iterations of small networks in such numbers, as `benchmarks.engine.jax_trainer`."""
    return MULTIPLE if workload.regression and way == "jax" else 1


def seconds_of(run: Callable[[int], None], iterations: int, device: str) -> float:
    started = time.perf_counter()
    run(iterations)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matmul_rate(device: str, precision: str) -> float:
    """In products of matrices that lie on the device already."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    side = SIDE[device]
    one, other = (torch.rand(side, side, device=device, dtype=kind) for _ in range(2))

    def products(count: int) -> None:
        for _ in range(count):
            one @ other

    seconds_of(products, 3, device)
    return 2 * side**3 * PRODUCTS / seconds_of(products, PRODUCTS, device)


def _peak(row: Row) -> float:
    """On a GPU what tensors held at most, on a CPU the whole process."""
    if row.device != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if row.way == "jax":
        import jax

        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    return torch.cuda.max_memory_allocated() / 2**20


if __name__ == "__main__":
    print(json.dumps(measured(Row(**json.loads(sys.argv[1])))))
