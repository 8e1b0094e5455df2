"""The promote step as a KFP component."""

from typing import List  # noqa: UP035  # kfp reads this spelling

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.component import step_component


@step_component
def promote(  # type: ignore[no-untyped-def]
    experiment: str,
    parameters: str,
    checkpoints: Input[List[Model]],  # noqa: UP006
    results: Input[Artifact],
    episodes: Input[Dataset],
    decision: Output[Artifact],
):
    """Register the lane's models, and move the champion where a model wins on the gate tasks.

    Args:
        experiment: The experiment's name, and the registered model's.
        parameters: How to promote, as JSON.
        checkpoints: The outputs of all trainings of the lane.
        results: The output of evaluate or rollout.
        episodes: The output of preprocess.
        decision: Who was compared, and who won.
    """
    from pathlib import Path

    from components.config.parsing import from_json
    from components.config.settings import Promotion
    from components.promote.step import promote

    promote(
        experiment,
        from_json(Promotion, parameters),
        [Path(checkpoint.path) for checkpoint in checkpoints],
        Path(results.path),
        Path(episodes.path),
        Path(decision.path),
    )
