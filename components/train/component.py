"""The train step as a KFP component."""

from kfp.dsl import Dataset, Input, Model, Output

from components.component import step_component


@step_component
def train(parameters: str, episodes: Input[Dataset], checkpoint: Output[Model]):  # type: ignore[no-untyped-def]
    """Meta-train one algorithm with one seed.

    Args:
        parameters: One training, as JSON: algorithm, seed, network and optimiser; in a sweep also its point.
        episodes: The output of preprocess.
        checkpoint: theta and alpha, and everything needed to rebuild the learner.
    """
    from pathlib import Path

    from components.config.parsing import from_json
    from components.config.swept import SweptTraining
    from components.train.step import train

    swept = from_json(SweptTraining, parameters)
    train(swept.training, Path(episodes.path), Path(checkpoint.path), point=swept.point)
