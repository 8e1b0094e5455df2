"""One library on one workload, in a process of its own: what is asked of it from outside."""

import multiprocessing
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.engine.peers import PEERS, Trainer
from benchmarks.engine.workloads import Arrays, Workload

SIDE, PRODUCTS = 1536, 12  # of the square matrices whose products show what the machine can do
_trainer: Trainer


class Worker:
    """A process that lives for many rounds. Use as a context."""

    def __init__(self, peer: str, workload: Workload) -> None:
        self.peer = peer
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, _begin, (peer, workload))

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def gradients(self) -> dict[str, Arrays]:
        return self._ask(_gradients)

    def seconds(self, iterations: int) -> float:
        """What so many meta-iterations take."""
        return self._ask(_seconds, iterations)

    def peak(self, iterations: int) -> float:
        """The most memory that the process holds during so many meta-iterations, in MB."""
        return self._ask(_peak, iterations)

    def matmul_rate(self) -> float:
        """Floating-point operations per second in large products of single precision."""
        return self._ask(_matmul_rate)

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.pool.submit(function, *arguments).result()


def _begin(peer: str, workload: Workload) -> None:
    global _trainer  # noqa: PLW0603
    # Before a library is imported: all of them start as many threads as there are cores for them.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: workload.threads])
    os.environ["OMP_NUM_THREADS"] = str(workload.threads)
    _trainer = PEERS[peer](workload)


def _gradients() -> dict[str, Arrays]:
    return _trainer.gradients()


def _seconds(iterations: int) -> float:
    started = time.perf_counter()
    _trainer.run(iterations)
    return time.perf_counter() - started


def _peak(iterations: int) -> float:
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far: building and compiling
    _trainer.run(iterations)
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def _matmul_rate() -> float:
    import torch

    one, other = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    one @ other
    started = time.perf_counter()
    for _ in range(PRODUCTS):
        one @ other
    return 2 * SIDE**3 * PRODUCTS / (time.perf_counter() - started)
