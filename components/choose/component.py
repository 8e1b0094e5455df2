"""The choose step as a KFP component."""

from typing import List  # noqa: UP035  # kfp reads this spelling

from kfp.dsl import Artifact, Dataset, Input, Markdown, Model, Output

from components.component import step_component


@step_component
def choose(  # type: ignore[no-untyped-def]
    trials: str,
    checkpoints: Input[List[Model]],  # noqa: UP006
    episodes: Input[Dataset],
    choice: Output[Artifact],
    table: Output[Markdown],
):
    """Rank the points of a sweep by their scores on the validation tasks.

    Args:
        trials: The points and their trainings, as JSON.
        checkpoints: The outputs of all trainings of the sweep.
        episodes: The output of preprocess.
        choice: The ranking, and the best point as a part of params.yaml.
        table: The ranking alone, for the Kubeflow UI.
    """
    from pathlib import Path

    from components.artifacts.choice import Trials
    from components.choose.snippet import markdown
    from components.choose.step import choose
    from components.config.parsing import from_json

    places = [Path(checkpoint.path) for checkpoint in checkpoints]
    chosen = choose(from_json(Trials, trials), places, Path(episodes.path), Path(choice.path))
    Path(table.path).write_text(markdown(chosen))
