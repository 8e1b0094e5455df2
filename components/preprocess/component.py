"""The preprocess step as a KFP component."""

from kfp.dsl import Dataset, Output

from components.component import step_component


@step_component
def preprocess(  # type: ignore[no-untyped-def]
    parameters: str, episodes: Output[Dataset], pinned: str = "", check: str = ""
):
    """Turn pictures or a distribution into episodes and stored tasks.

    Args:
        parameters: The experiment's tasks, as JSON.
        pinned: The data to download, as JSON; empty where the tasks are drawn or the data at hand.
        check: "strict", where what is odd about the data is an error.
        episodes: Pictures and their classes, and the stored tasks of validation, gate and test.
    """
    from pathlib import Path

    from components.config.parsing import from_json
    from components.kinds.table import TaggedTasks
    from components.preprocess.step import preprocess

    pin = None
    if pinned:
        from components.datasets.pinned import Pin

        pin = from_json(Pin, pinned, "pinned")
    preprocess(from_json(TaggedTasks, parameters), Path(episodes.path), pin, check == "strict")
