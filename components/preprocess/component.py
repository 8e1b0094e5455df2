"""The preprocess step as a KFP component."""

from kfp.dsl import Dataset, Output

from components.kubeflow import step_component


@step_component
def preprocess(parameters: str, episodes: Output[Dataset]):  # type: ignore[no-untyped-def]
    """parameters: the experiment's tasks as JSON."""
    from pathlib import Path

    from components.parameters import tasks_from_json
    from components.preprocess.step import preprocess

    preprocess(tasks_from_json(parameters), Path(episodes.path))
