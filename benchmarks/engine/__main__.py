"""Time one meta-iteration here and in other libraries: `make bench`.

Two workloads at a time would disturb each other, so they run one by one; within one, the libraries take
turns, and ratios are of the same round.
"""

import argparse
import sys

from rich.console import Console

from benchmarks.engine.measure import measure
from benchmarks.engine.publish import publish
from benchmarks.engine.workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5, help="of every library on every workload")
    options = parser.parse_args()
    console = Console(highlight=False)
    results = []
    for name in options.workloads:
        results.append(
            measure(WORKLOADS[name], options.rounds, lambda text, name=name: console.print(f"{name}: {text}"))
        )
    if set(options.workloads) < set(WORKLOADS):
        console.print("docs/performance.md is left alone: it takes all workloads")
    for result in results:
        best = result.best_peer()
        console.print(f"{result.workload.title}: {result.ratios(best)} times as fast as {best}")
    if set(options.workloads) == set(WORKLOADS):
        publish(
            results,
            " ".join(["make bench", *(["ROUNDS=" + str(options.rounds)] if options.rounds != 5 else [])]),
        )


if __name__ == "__main__":
    sys.exit(main())
