"""Time one meta-iteration here and in other libraries: `make bench`.

Two workloads at a time would disturb each other, so they run one by one; within one, the libraries take
turns, and ratios are of the same round.
"""

import argparse

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
    for result in results:
        best = result.best_peer()
        ratios = ", ".join(f"{ratio:.2f}" for ratio in result.ratios(best))
        console.print(f"{result.workload.title}: {ratios} times as fast as {best}")
    if len(results) == len(WORKLOADS):
        publish(results, f"make bench ROUNDS={options.rounds}")
    else:
        console.print("docs/performance.md is left alone: it takes all workloads")


if __name__ == "__main__":
    main()
