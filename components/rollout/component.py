"""The rollout step as a KFP component."""

from typing import List  # noqa: UP035  # kfp reads this spelling

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.component import step_component


@step_component
def rollout(  # type: ignore[no-untyped-def]
    checkpoints: Input[List[Model]],  # noqa: UP006
    episodes: Input[Dataset],
    results: Output[Artifact],
    metrics: Output[Metrics],
):
    """Roll out every checkpoint of a lane on the test tasks, before and after each inner step.

    Args:
        checkpoints: The outputs of all trainings of the lane.
        episodes: The output of preprocess.
        results: Scores with their intervals, figures, and the scores of single tasks.
        metrics: The mean after one step of every algorithm and seed.
    """
    import json
    from pathlib import Path

    from components.rollout.step import rollout

    places = [Path(checkpoint.path) for checkpoint in checkpoints]
    numbers = rollout(places, Path(episodes.path), Path(results.path))
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    # A cache takes no output whose file is missing.
    Path(metrics.path).write_text(json.dumps(numbers))
