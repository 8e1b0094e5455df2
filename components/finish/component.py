"""The finish step as a KFP component: the pipeline's exit handler."""

from kfp.dsl import PipelineTaskFinalStatus

from components.component import step_component


@step_component
def finish(status: PipelineTaskFinalStatus):  # type: ignore[no-untyped-def]
    """End the MLflow run of the pipeline run, whatever became of the other steps."""
    from components.finish.step import finish

    finish(status.state)
