"""The report step as a KFP component."""

from kfp.dsl import HTML, Artifact, Input, Output

from components.component import step_component


@step_component
def report(  # type: ignore[no-untyped-def]
    results: Input[Artifact],
    decision: Input[Artifact],
    chapters: Output[Artifact],
    page: Output[HTML],
    command: str = "",
    earlier: Input[Artifact] = None,
):
    """Write a lane's chapter after those of the lanes before; the last lane's report is the whole.

    Args:
        results: The output of evaluate or rollout.
        decision: The output of promote.
        earlier: The chapters of the lanes before.
        command: What runs the same lanes again.
        chapters: The page, its chapters, and the rows of its table.
        page: The page alone, for the Kubeflow UI; on a cluster it holds a link to the MLflow run.
    """
    import shutil
    from pathlib import Path

    from components.report.origin import origin_of_run
    from components.report.step import report

    before = Path(earlier.path) if earlier else None
    origin = origin_of_run()
    report([Path(results.path)], [Path(decision.path)], Path(chapters.path), before, command, origin)
    shutil.copy(Path(chapters.path) / "report.html", page.path)
    if origin.page:
        page.metadata["mlflow_run"] = origin.page
