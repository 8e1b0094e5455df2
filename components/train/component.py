"""The train step as a KFP component."""

from kfp.dsl import Dataset, Input, Model, Output

from components.kubeflow import step_component


@step_component
def train(parameters: str, episodes: Input[Dataset], checkpoint: Output[Model]):  # type: ignore[no-untyped-def]
    """parameters: one training as JSON."""
    from pathlib import Path

    from components.parameters import Training, from_json
    from components.train.step import train

    train(from_json(Training, parameters), Path(episodes.path), Path(checkpoint.path))
