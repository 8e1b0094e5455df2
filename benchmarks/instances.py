"""The protocol of memory-augmented networks' own paper: python -m benchmarks.instances --iterations 20000

A sequence has ten pictures of each of five new classes in random order, each with the label of the picture
before; accuracy is by how often a picture's class was seen. Santoro et al. 2016 print 82.8 % at the second
time and 94.9 % at the fifth, after 100,000 iterations of 16 sequences. A repeated command continues.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.func import vmap

from components.artifacts.checkpoint import load_trained
from components.console.command import run_command
from components.kinds.experiment import load_experiment
from components.kinds.supervised import Supervised
from components.kinds.table import load_tasks
from metasgd.comparison import one_hot
from metasgd.memory import MemoryLearner
from metasgd.seeds import generator
from metasgd.trees import Parameters
from pipelines.publishing.trainings import drawn, trained

TIMES = 10  # that a class is seen in a sequence
CHUNK = 50  # sequences at once


def main() -> None:
    options = _parser().parse_args()
    chosen = (
        f"tasks.distribution.shots={TIMES}",
        f"tasks.stored.test_shots=[{TIMES}]",
        f"train.iterations={options.iterations}",
        f"train.compile_from={10**9}",  # some fifty steps would be one graph
    )
    experiment = load_experiment("omniglot-5way-1shot", [*chosen, *options.overrides])
    episodes = drawn(experiment.tasks, options.output)
    checkpoint = trained(experiment.training("mann", options.seed), episodes, options.output)
    tasks = load_tasks(episodes)
    model = load_trained(checkpoint, tasks.episodes.manifest.problem)
    assert isinstance(tasks, Supervised)  # noqa: S101
    assert isinstance(model.learner, MemoryLearner)  # noqa: S101
    batch = tasks.distribution("test").sample(options.sequences, generator(options.seed, "sequences"))
    right = by_time(model.learner, model.meta.theta, batch.support_x, batch.support_y)
    print(f"| {' | '.join(f'time {time}' for time in range(1, TIMES + 1))} |")
    print("|---" * TIMES + "|")
    print(f"| {' | '.join(f'{100 * share:.1f} %' for share in right.tolist())} |")


@torch.no_grad()
def by_time(learner: MemoryLearner, theta: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """Share of right answers [times], over sequences in random order; a class comes first at time 0.

    x: [sequences, pictures, channels, height, width]; y: [sequences, pictures].
    """
    order = torch.rand(y.shape, generator=generator(1, "order")).argsort(dim=1)
    labels = one_hot(y.gather(1, order), learner.problem.outputs)
    times = (labels.cumsum(dim=1) * labels).sum(dim=-1) - 1  # how often the class came before

    def outputs(x: Tensor, labels: Tensor) -> Tensor:
        pictures = learner.pixels(x)
        return learner.sequence(theta, learner.empty(pictures), pictures, labels)[0]

    shuffled = torch.stack([own[places] for own, places in zip(x, order, strict=True)])
    parts = zip(shuffled.split(CHUNK), labels.float().split(CHUNK), strict=True)
    found = torch.cat([vmap(outputs)(*part) for part in parts])
    right = found.argmax(dim=-1) == labels.int().argmax(dim=-1)
    return torch.stack([right[times == time].float().mean() for time in range(TIMES)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instances", description=__doc__)
    parser.add_argument("--iterations", type=int, default=20_000)
    parser.add_argument("--sequences", type=int, default=1000, help="that are scored")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, default=Path(".local/instances"))
    return parser


if __name__ == "__main__":
    run_command(main)
