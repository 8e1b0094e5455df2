"""What each learner costs in use: python -m benchmarks.learners [--experiment omniglot-5way-1shot]

As a served model does it, on one thread of the CPU: adapting to one task of pictures, and predicting one
query picture. Prints Markdown: milliseconds (the least of several rounds), numbers that are learned, and what
an adapted task takes in memory.
"""

import argparse
import time
from collections.abc import Callable

import torch

from components.console.command import run_command
from components.kinds.experiment import load_experiment
from metasgd.learner import Learner, Problem
from metasgd.learners import LEARNERS, build_learner
from metasgd.seeds import generator
from metasgd.serving import ServedModel
from metasgd.tasks import Examples

ROUNDS = 30
SIDE = 28


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learners", description=__doc__)
    parser.add_argument("--experiment", default="omniglot-5way-1shot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| algorithm | adapt, ms | predict, ms | learned numbers | an adapted task, kB |")
    print("|---|---|---|---|---|")
    experiment = load_experiment(options.experiment)
    for algorithm, settings in experiment.algorithms.items():
        if settings.is_reference or LEARNERS[settings.kind].problem_with(experiment.network, settings):
            continue
        problem = Problem("classification", (1, SIDE, SIDE), experiment.tasks.distribution.ways)
        print(row(algorithm, build_learner(problem, experiment.network, settings)))


def row(algorithm: str, learner: Learner) -> str:
    meta = learner.initial(generator(1, "theta"))
    model = ServedModel(learner, meta)
    x = torch.rand((learner.problem.outputs + 1, 1, SIDE, SIDE), generator=generator(1, "pictures"))
    support = Examples(x[:-1], torch.arange(learner.problem.outputs))
    task = model.adapt(support)
    adapt, predict = _least(lambda: model.adapt(support)), _least(lambda: task.predict(x[-1:]))
    learned = sum(value.numel() for value in learner.learned(meta))
    return f"| {algorithm} | {adapt:.1f} | {predict:.2f} | {learned:,} | {task.bytes / 1000:,.0f} |"


def _least(action: Callable[[], object]) -> float:
    """Milliseconds."""
    action()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds)


if __name__ == "__main__":
    run_command(main)
