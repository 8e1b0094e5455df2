"""Settings of an experiment compared on validation tasks, paired over tasks and over seeds.

    python -m benchmarks.variants glyphs-5way-1shot --seeds 1 2 3 \\
      --vary network.head=per-class,shared --vary network.normalisation=transductive,joint

Trains every combination of the values and scores it on tasks of validation classes that neither choose its
checkpoint nor belong to a test. A repeated command continues: what was trained is not trained again. Prints
Markdown: every seed's score by the network's own protocol / as served, and what each combination wins over
the first one, as served: the mean, its interval over tasks (averaged over seeds), and over seeds.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from components.artifacts.checkpoint import load_trained
from components.artifacts.intervals import half_width
from components.config.settings import Training
from components.console.command import run_command
from components.kinds.experiment import load_experiment
from components.kinds.table import load_tasks
from metasgd.files import write_atomically
from pipelines.publishing.trainings import drawn, trained


def main() -> None:
    options = _parser().parse_args()
    tables = [
        measured(options, variant, algorithm, seed)
        for variant in itertools.product(*options.vary)
        for algorithm in options.algorithms
        for seed in options.seeds
    ]
    print("\n".join(markdown(pd.concat(tables))))


def values(text: str) -> list[str]:
    """`key=a,b` as the overrides key=a and key=b; the values are those of a YAML list."""
    key, listed = text.split("=", 1)
    return [f"{key}={json.dumps(value)}" for value in yaml.safe_load(f"[{listed}]")]


def measured(
    options: argparse.Namespace, variant: tuple[str, ...], algorithm: str, seed: int
) -> pd.DataFrame:
    """Columns variant, algorithm, seed, task, own, served: from the last time, or from a training now."""
    overrides = [*options.overrides, *variant, f"tasks.stored.gate={options.tasks}"]
    experiment = load_experiment(options.experiment, overrides)
    training = experiment.training(algorithm, seed)
    episodes = drawn(experiment.tasks, options.output)
    checkpoint = trained(training, episodes, options.output)
    file = checkpoint.with_suffix(".parquet")
    if not file.exists():
        write_scores(checkpoint, episodes, training, file)
    return pd.read_parquet(file).assign(variant=" ".join(variant), algorithm=algorithm, seed=seed)


def write_scores(checkpoint: Path, episodes: Path, training: Training, file: Path) -> None:
    tasks = load_tasks(episodes)
    model = load_trained(checkpoint, tasks.episodes.manifest.problem)
    shots, step = tasks.parameters.reported_shots, training.learner.test_steps
    learners = {"own": model.learner, "served": model.learner.served}
    scores = {
        name: tasks.scores(learner, model.meta, "gate", shots)[:, step].double().numpy()
        for name, learner in learners.items()
    }
    table = pd.DataFrame({"task": range(len(scores["own"])), **scores})
    write_atomically(file, table.to_parquet(index=False))


def markdown(scores: pd.DataFrame) -> Iterator[str]:
    seeds = sorted(scores["seed"].unique())
    yield f"| | algorithm | {' | '.join(f'seed {seed}' for seed in seeds)} | against the first, served |"
    yield "|---" * (len(seeds) + 3) + "|"
    first = scores["variant"].iloc[0]
    for (variant, algorithm), own in scores.groupby(["variant", "algorithm"], sort=False):
        baseline = scores[(scores["variant"] == first) & (scores["algorithm"] == algorithm)]
        means = own.groupby("seed")[["own", "served"]].mean()
        cells = [f"{means['own'][seed]:.4f} / {means['served'][seed]:.4f}" for seed in seeds]
        yield f"| {variant} | {algorithm} | {' | '.join(cells)} | {difference(own, baseline)} |"


def difference(own: pd.DataFrame, baseline: pd.DataFrame) -> str:
    """Mean, [over tasks], [over seeds]; the same seeds and tasks stand against each other."""
    index = ["seed", "task"]
    paired = own.set_index(index)["served"] - baseline.set_index(index)["served"]
    by_task, by_seed = (paired.groupby(level).mean().to_numpy() for level in ("task", "seed"))
    intervals = [_interval(by_task), *([_interval(by_seed)] if len(by_seed) > 1 else [])]
    return f"{paired.mean():+.4f} {' '.join(intervals)}" if np.any(paired) else "·"


def _interval(values: np.ndarray) -> str:
    mean, half = values.mean(), half_width(values)
    return f"[{mean - half:+.4f}, {mean + half:+.4f}]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.variants", description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--vary", type=values, action="append", required=True, metavar="KEY=A,B")
    parser.add_argument("--algorithms", nargs="+", default=["meta-sgd"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tasks", type=int, default=600, help="that every training is scored on")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, default=Path(".local/variants"))
    return parser


if __name__ == "__main__":
    run_command(main)
