"""All libraries on one workload: first that their gradients agree, then times in turns, round by round."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.engine.peers import PEERS
from benchmarks.engine.worker import Worker
from benchmarks.engine.workloads import MULTIPLE, Arrays, Workload

OURS, REFERENCE = "metasgd", "textbook"
# Of a tensor's norm. In single precision a ReLU of thousands may fall on its other side: on Omniglot with 15
# queries, that takes the textbook's gradients 2e-3 away from its own in double precision.
TOLERANCE = 5e-3
SECONDS = 1.0  # that a library runs for in every round, at least


@dataclass(frozen=True)
class Measured:
    """seconds: of one meta-iteration, by library and round. matmul: operations per second, by round.

    peaks: in MB, by library. difference: the largest of any gradient to the textbook's, of its norm.
    """

    workload: Workload
    seconds: dict[str, list[float]]
    matmul: list[float]
    peaks: dict[str, float]
    difference: float

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
    """Raises ValueError where a gradient differs from the textbook's."""
    with ExitStack() as stack:
        workers = {peer: stack.enter_context(Worker(peer, workload.name)) for peer in PEERS}
        difference = _require_equal({peer: worker.gradients() for peer, worker in workers.items()})
        say("gradients agree")
        iterations = {peer: _iterations(worker, workload) for peer, worker in workers.items()}
        seconds: dict[str, list[float]] = {peer: [] for peer in workers}
        matmul = []
        for number in range(rounds):
            matmul.append(workers[OURS].matmul_rate())
            for peer, worker in workers.items():
                seconds[peer].append(worker.seconds(iterations[peer]) / iterations[peer])
            say(f"round {number + 1} of {rounds}")
        peaks = {peer: worker.peak(iterations[peer]) for peer, worker in workers.items()}
    return Measured(workload, seconds, matmul, peaks, difference)


def _iterations(worker: Worker, workload: Workload) -> int:
    """So many that they take SECONDS; the first ones compile."""
    step = MULTIPLE if workload.regression else 1
    worker.seconds(step)
    return step * math.ceil(SECONDS / worker.seconds(step))


def _require_equal(found: dict[str, dict[str, Arrays]]) -> float:
    """The largest difference of a gradient to the textbook's, as a share of its norm."""
    largest = 0.0
    for peer, gradients in found.items():
        for part, arrays in found[REFERENCE].items():
            for name, expected in arrays.items():
                error = np.linalg.norm(gradients[part][name] - expected) / np.linalg.norm(expected)
                if not error < TOLERANCE:
                    raise ValueError(f"{peer}: the gradient of {part} {name} differs by {error:.2g}")
                largest = max(largest, float(error))
    return largest
