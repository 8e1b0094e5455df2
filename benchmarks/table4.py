"""Table 4 of the paper, both columns, from the results of finished runs.

    make pipeline-run EXPERIMENTS="navigation navigation-varying" SEEDS="1 2 3"
    python -m benchmarks.table4 .local/runs/<run> ..

Prints markdown: average return before adaptation and after one, two and three steps, mean of the seeds
± 95 % interval over tasks.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from components.artifacts.intervals import half_width
from components.artifacts.results import Result, read_json

# By experiment and algorithm: the paper's average return after one step.
PAPER = {
    ("navigation", "maml"): -9.12,
    ("navigation", "meta-sgd"): -8.64,
    ("navigation-varying", "maml"): -10.71,
    ("navigation-varying", "meta-sgd"): -10.15,
}


def per_task_returns(runs: Sequence[Path]) -> pd.DataFrame:
    """Columns experiment, algorithm, seed, task, step, score: the test tasks."""
    tables = []
    for path in sorted(path for run in runs for path in run.rglob("results/*-seed*.json")):
        result = read_json(Result, path)
        scores = pd.read_parquet(path.with_suffix(".parquet"))
        names = {"experiment": result.experiment, "algorithm": result.algorithm, "seed": result.seed}
        tables.append(scores[scores["set"] == "test"].assign(**names))
    return pd.concat(tables, ignore_index=True)


def markdown(returns: pd.DataFrame) -> Iterator[str]:
    steps = sorted(returns["step"].unique())
    head = " | ".join("before" if step == 0 else f"{step} step{'s' if step > 1 else ''}" for step in steps)
    yield f"| start | algorithm | seeds | {head} | paper, 1 step |"
    yield "|---" * (len(steps) + 4) + "|"
    for (experiment, algorithm), own in returns.groupby(["experiment", "algorithm"]):
        per_task = own.groupby(["step", "task"])["score"].mean()
        cells = " | ".join(
            f"{per_task[step].mean():.2f} ± {half_width(per_task[step].to_numpy()):.2f}" for step in steps
        )
        seeds = " / ".join(f"{score:.2f}" for score in own[own["step"] == 1].groupby("seed")["score"].mean())
        paper = PAPER.get((str(experiment), str(algorithm)))
        yield f"| {experiment} | {algorithm} | {seeds} | {cells} | {paper if paper else ''} |"


if __name__ == "__main__":
    print("\n".join(markdown(per_task_returns([Path(run) for run in sys.argv[1:]]))))
