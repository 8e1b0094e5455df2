"""What the UI shows of an experiment: runs, a description, and a table whose first columns are the scores.

The table is a view that people can choose, and `make ui` links to: its columns in their order.
"""

import json

SCORES = "scores"  # the view's key in addresses
DESCRIPTION = """\
A run is a training, or a whole pipeline run above its trainings. `test_<metric>_before` and
`test_<metric>_after` are a training's scores on the test tasks, before adaptation and after it; `…_ci95` is
half the width of the 95 % interval over tasks. `mse` is better when it is low; `accuracy`, a fraction, and
`return` when they are high. The view **Scores** shows these columns first. The tag `started_by` tells apart
what the pipeline, Kubeflow, DVC and single commands have started.
"""
METRICS = ("mse", "accuracy", "return")
ENDS = ("before", "after", "after_ci95")
COLUMNS = (
    *(f"metrics.`test_{metric}_{end}`" for metric in METRICS for end in ENDS),
    *(f"metrics.`{name}`" for name in ("chosen_iteration", "seconds")),
    *(f"params.`{name}`" for name in ("algorithm", "experiment", "seed", "train.iterations")),
    *(f"attributes.`{name}`" for name in ("Source", "Models", "Dataset")),
)
WIDTH = 170  # pixels, of a column whose name is as long as test_mse_after_ci95
BORN = 1767225600000  # milliseconds: MLflow wants a date of every view, and this one has none


def _view() -> str:
    """As MLflow's UI keeps a view that somebody has saved: trainings alone, each with its scores."""
    state = {
        "selectedColumns": COLUMNS,
        "columnOrder": COLUMNS,
        "columnWidths": {name: WIDTH for name in COLUMNS if name.startswith("metrics.`test_")},
        "searchFilter": "tags.algorithm != ''",
        # Sorted by time, trainings would be folded away below their parents.
        "orderByKey": "params.`experiment`",
        "orderByAsc": True,
    }
    return json.dumps({"name": "Scores", "createdAt": BORN, "updatedAt": BORN, "state": json.dumps(state)})


# Of every experiment. The kind: the UI opens on runs, not on traces.
TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": DESCRIPTION,
    f"mlflow.sharedViewState.{SCORES}": _view(),
}
