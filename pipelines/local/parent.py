"""The MLflow run that stands for a pipeline run: its parameters, its table and its report."""

from collections.abc import Sequence
from pathlib import Path

from components.kinds.experiment import Experiment
from components.report.summary import Row
from components.report.wording import estimated, score
from components.tracking.runs import TrackedRun

HEAD = "| experiment | algorithm | seeds | before | after | as served | version |"


def run_name(experiments: Sequence[Experiment], overrides: Sequence[str]) -> str:
    """What differs from run to run."""
    return " ".join([*(experiment.name for experiment in experiments), *overrides])


def parameters(
    experiments: Sequence[Experiment], seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, object]:
    """What was asked for, and by experiment how many iterations that meant."""
    return {
        "experiments": " ".join(experiment.name for experiment in experiments),
        "seeds": " ".join(str(seed) for seed in seeds),
        "overrides": " ".join(overrides),
        **{f"{one.name}.compare": " ".join(one.compare) for one in experiments},
        **{f"{one.name}.train.iterations": one.train.iterations for one in experiments},
    }


def log_outcome(parent: TrackedRun, rows: Sequence[Row], report: Path) -> None:
    """report: the folder with the page."""
    parent.log_folder(report, "report")
    parent.describe(markdown(rows))


def markdown(rows: Sequence[Row]) -> str:
    """The table of the run: means over tasks and seeds, and 95 % intervals."""
    return "\n".join([HEAD, "| --- | --- | ---: | ---: | ---: | ---: | ---: |", *map(_line, rows)])


def _line(row: Row) -> str:
    cells = [
        row.experiment,
        row.algorithm,
        str(len(row.seeds)),
        score(row.before.mean, None, row.metric),
        estimated(row.after, row.metric),
        estimated(row.served, row.metric),
        f"★ {row.version}" if row.champion else row.version,
    ]
    return f"| {' | '.join(cells)} |"
