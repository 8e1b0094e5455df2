"""All libraries on one workload: first that their gradients agree, then times in turns, round by round."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmarks.engine.peers import PEERS
from benchmarks.engine.worker import Worker
from benchmarks.engine.workloads import MULTIPLE, Arrays, Workload

OURS, REFERENCE = "metasgd", "textbook"
# Of a tensor's norm, in double precision. In single precision a ReLU or a pool of thousands may fall on its
# other side, which takes the gradient of one or another library a few hundredths away.
TOLERANCE = 1e-9
SECONDS = 1.0  # that a library runs for in every round, at least


@dataclass(frozen=True)
class Measured:
    """seconds: of one meta-iteration, by library and round. matmul: operations per second, by round.

    peaks: in MB, by library. differences: in double precision, the largest of any gradient to the
    textbook's, of its norm.
    """

    workload: Workload
    seconds: dict[str, list[float]]
    matmul: list[float]
    peaks: dict[str, float]
    differences: dict[str, float]

    def ratios(self, peer: str) -> list[float]:
        """How many times as long the peer took as this project, round by round."""
        return [theirs / ours for theirs, ours in zip(self.seconds[peer], self.seconds[OURS], strict=True)]

    def share(self, peer: str) -> float:
        """Of the matmul rate of the same round: the operations that the workload needs, in the median."""
        rates = [
            self.workload.operations() / seconds / matmul
            for seconds, matmul in zip(self.seconds[peer], self.matmul, strict=True)
        ]
        return median(rates)

    def best_peer(self) -> str:
        peers = [peer for peer in self.seconds if peer != OURS]
        return min(peers, key=lambda peer: median(self.seconds[peer]))


def measure(workload: Workload, rounds: int, say: Callable[[str], None]) -> Measured:
    """Raises ValueError where a gradient is not the textbook's."""
    differences = _differences(replace(workload, precision="float64"))
    say("gradients agree")
    with ExitStack() as stack:
        workers = {peer: stack.enter_context(Worker(peer, workload)) for peer in PEERS}
        iterations = {peer: _iterations(worker, workload) for peer, worker in workers.items()}
        seconds: dict[str, list[float]] = {peer: [] for peer in workers}
        matmul = []
        for number in range(rounds):
            matmul.append(workers[REFERENCE].matmul_rate())  # all of its threads share an operation
            for peer, worker in workers.items():
                seconds[peer].append(worker.seconds(iterations[peer]) / iterations[peer])
            say(f"round {number + 1} of {rounds}")
        peaks = {peer: worker.peak(iterations[peer]) for peer, worker in workers.items()}
    return Measured(workload, seconds, matmul, peaks, differences)


def _iterations(worker: Worker, workload: Workload) -> int:
    """So many that they take SECONDS; the first ones compile."""
    step = MULTIPLE if workload.regression else 1
    worker.seconds(step)
    return step * math.ceil(SECONDS / worker.seconds(step))


def _differences(workload: Workload) -> dict[str, float]:
    gradients = {}
    for peer in PEERS:
        with Worker(peer, workload) as worker:
            gradients[peer] = worker.gradients()
    return {peer: _require_equal(peer, found, gradients[REFERENCE]) for peer, found in gradients.items()}


def _require_equal(peer: str, found: dict[str, Arrays], expected: dict[str, Arrays]) -> float:
    """The largest difference of a tensor's gradient to the expected one, as a share of its norm."""
    largest = 0.0
    for part, arrays in expected.items():
        for name, array in arrays.items():
            error = float(np.linalg.norm(found[part][name] - array) / np.linalg.norm(array))
            if not error < TOLERANCE:
                raise ValueError(f"{peer}: the gradient of {part} {name} differs by {error:.2g}")
            largest = max(largest, error)
    return largest
