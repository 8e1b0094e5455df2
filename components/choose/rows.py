"""A sweep in MLflow: a row per point below the pipeline's run, with the point as its parameters.

The trainings have rows of their own, with all parameters and curves; a sweep that takes them from an earlier
run still has all its points side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.artifacts.choice import Choice, Ranked
from components.choose.snippet import markdown
from components.tracking.client import PIPELINES
from components.tracking.parents import POINT, parent_of
from components.tracking.runs import TrackedRun, open_run


def write_rows(choice: Choice, trainings: Mapping[str, Sequence[str]], folder: Path | None = None) -> None:
    """A row per point; the pipeline's own run keeps the folder.

    trainings: the MLflow runs of a point's trainings, by its name.
    """
    for point in choice.ranking:
        title = f"{point.name}, {choice.algorithm}, {choice.experiment}"
        with open_run(PIPELINES, title, _tags(choice, point, trainings[point.name])) as run:
            run.log_params(dict(override.split("=", 1) for override in point.overrides))
            run.log_metrics(dict(_metrics(choice, point)))
    parent = parent_of(run.client, run.run_id)
    if parent and folder:
        whole = TrackedRun(run.client, parent)
        whole.log_folder(folder, "sweep")
        whole.describe(markdown(choice))


def _tags(choice: Choice, point: Ranked, trainings: Sequence[str]) -> dict[str, str]:
    # Without the tag `algorithm`, by which trainings are found.
    diverged = [str(seed) for seed, score in point.scores.items() if score is None]
    return {
        "experiment": choice.experiment,
        POINT: point.name,
        "seeds": " ".join(map(str, point.scores)),
        "training_run": " ".join(trainings),
        "best": str(point is choice.best and point.mean is not None),
        **({"diverged": " ".join(diverged)} if diverged else {}),
    }


def _metrics(choice: Choice, point: Ranked) -> Iterator[tuple[str, float]]:
    name = f"validation_{choice.metric}_chosen"  # as a training has it
    if point.mean is not None:
        yield name, point.mean
    if point.half_width is not None:
        yield f"{name}_ci95", point.half_width
    if len(point.scores) > 1:
        for seed, score in point.scores.items():
            if score is not None:
                yield f"{name}_seed{seed}", score
