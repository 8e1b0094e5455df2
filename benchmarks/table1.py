"""Table 1 of the paper, all nine cells, from the results of a finished run.

    make pipeline-run EXPERIMENTS="sinusoid-5shot sinusoid-10shot sinusoid-20shot" SEEDS="1 2 3" \\
      SET="train.iterations=60000 train.validate_every=1000 tasks.stored.test=1000"
    python -m benchmarks.table1 .local/runs/<run>

Prints markdown: mean squared error after one step, mean of the seeds ± 95 % interval over curves, on
all stored curves and, by the paper's protocol, on the first 100.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from components.artifacts.intervals import half_width
from components.artifacts.results import Result, read_json

# (train shots, test shots) -> the paper's MAML and Meta-SGD.
PAPER = {
    (5, 5): (1.13, 0.90),
    (5, 10): (0.85, 0.63),
    (5, 20): (0.71, 0.50),
    (10, 5): (1.17, 0.88),
    (10, 10): (0.77, 0.53),
    (10, 20): (0.56, 0.35),
    (20, 5): (1.29, 1.01),
    (20, 10): (0.76, 0.54),
    (20, 20): (0.48, 0.31),
}


def per_task_scores(run: Path) -> pd.DataFrame:
    """Columns trained (shots), algorithm, seed, shots, task, score: test tasks after one step."""
    return pd.concat(_scores(run), ignore_index=True)


def _scores(run: Path) -> Iterator[pd.DataFrame]:
    for path in sorted(run.rglob("results/*-seed*.json")):
        result = read_json(Result, path)
        scores = pd.read_parquet(path.with_suffix(".parquet"))
        after = scores[(scores["set"] == "test") & (scores["step"] == 1)]
        yield after.assign(trained=result.shots, algorithm=result.algorithm, seed=result.seed)


def cell(scores: pd.DataFrame, curves: int) -> str:
    """Mean over seeds and the first `curves` tasks; the interval is over tasks, averaged over seeds."""
    per_task = scores[scores["task"] < curves].groupby("task")["score"].mean().to_numpy()
    return f"{per_task.mean():.3f} ± {half_width(per_task):.3f}"


def markdown(scores: pd.DataFrame) -> Iterator[str]:
    curves = int(scores["task"].max()) + 1
    yield f"| trained on | tested on | algorithm | {curves} curves | first 100 | paper |"
    yield "|---|---|---|---|---|---|"
    for (trained, shots), paper in PAPER.items():
        for algorithm, published in zip(("maml", "meta-sgd"), paper, strict=True):
            chosen = scores[
                (scores["trained"] == trained)
                & (scores["shots"] == shots)
                & (scores["algorithm"] == algorithm)
            ]
            cells = f"{cell(chosen, curves)} | {cell(chosen, 100)} | {published:.2f}"
            yield f"| {trained} | {shots} | {algorithm} | {cells} |"


if __name__ == "__main__":
    print("\n".join(markdown(per_task_scores(Path(sys.argv[1])))))
