"""The report step as a KFP component."""

from kfp.dsl import HTML, Artifact, Input, Output

from components.component import step_component


@step_component
def report(  # type: ignore[no-untyped-def]
    results: Input[Artifact],
    decision: Input[Artifact],
    chapters: Output[Artifact],
    page: Output[HTML],
    earlier: Input[Artifact] = None,
):
    """Write a lane's chapter after those of the lanes before; the last lane's report is the whole.

    Args:
        results: The output of evaluate or rollout.
        decision: The output of promote.
        earlier: The chapters of the lanes before.
        chapters: The page, its chapters, and the rows of its table.
        page: The page alone, for the Kubeflow UI; on a cluster it holds a link to the MLflow run.
    """
    import shutil
    from pathlib import Path

    from components.report.link import parent_address
    from components.report.step import report

    before = Path(earlier.path) if earlier else None
    places = ([Path(results.path)], [Path(decision.path)], Path(chapters.path))
    report(*places, before, with_runs=True)
    shutil.copy(Path(chapters.path) / "report.html", page.path)
    if address := parent_address():
        page.metadata["mlflow_run"] = address
