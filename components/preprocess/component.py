"""The preprocess step as a KFP component."""

from kfp.dsl import Dataset, Output

from components.kubeflow import step_component


@step_component
def preprocess(parameters: str, episodes: Output[Dataset], pinned: str = ""):  # type: ignore[no-untyped-def]
    """Turn pictures or a distribution into episodes and stored tasks.

    Args:
        parameters: The experiment's tasks, as JSON.
        pinned: The data to download, as JSON; empty where the tasks are drawn or the data at hand.
        episodes: Pictures and their classes, and the stored tasks of validation, gate and test.
    """
    from pathlib import Path

    from components.parameters import from_json, tasks_from_json
    from components.preprocess.step import preprocess

    pin = None
    if pinned:
        from components.preprocess.pinned import Pin

        pin = from_json(Pin, pinned, "pinned")
    preprocess(tasks_from_json(parameters), Path(episodes.path), pin)
