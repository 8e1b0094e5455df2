"""Time one meta-iteration here and in other libraries: `make bench`.

Two workloads at a time would disturb each other, so they run one by one; within one, the libraries take
turns, and ratios are of the same round. Repeated at the same commit, it measures what is not measured yet.
"""

import argparse
from functools import partial

from rich.console import Console

from benchmarks.engine.kept import kept
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
        workload, say = WORKLOADS[name], partial(_say, console, name)
        result = kept(workload, options.rounds, partial(measure, workload, options.rounds, say))
        best = result.best_peer()
        say(", ".join(f"{ratio:.2f}" for ratio in result.ratios(best)) + f" times as fast as {best}")
        say(", ".join(f"{peer} {result.share(peer):.3f}" for peer in result.seconds) + " of the matmul rate")
        results.append(result)
    if len(results) == len(WORKLOADS):
        publish(results, f"make bench ROUNDS={options.rounds}")
    else:
        console.print("docs/performance.md is left alone: it takes all workloads")


def _say(console: Console, name: str, text: str) -> None:
    console.print(f"{name}: {text}")


if __name__ == "__main__":
    main()
