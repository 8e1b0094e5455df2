"""End the MLflow runs of a pipeline run, where nobody else does."""

import os

from components.config.environment import PARENT, PIPELINE_RUN, PLUGIN


def finish(word: str) -> None:
    """End the run that the first step opened (components.tracking.parents), and what lost pods left running.

    word: what KFP tells its exit handler about the steps before (components.finish.verdict).
    The launcher ends the run that it opened itself, and Kubeflow's MLflow plugin its own.
    """
    if PARENT in os.environ or PIPELINE_RUN not in os.environ:
        return
    # Not at the top: MLflow takes seconds to import, which most runs can do without.
    from components.finish.verdict import status_of
    from components.tracking.client import PIPELINES, connect, experiment_id
    from components.tracking.parents import end_lost_runs, failed_runs, find_parent

    name = os.environ[PIPELINE_RUN]
    status = status_of(word)
    print(f"the pipeline run {name}: {status}", flush=True)
    client = connect()
    if status == "FINISHED" and (failed := failed_runs(client, name)):
        print(f"{', '.join(failed)}: FAILED in MLflow, so the pipeline run is FAILED, too", flush=True)
        status = "FAILED"
    parent = None if PLUGIN in os.environ else find_parent(client, experiment_id(client, PIPELINES), name)
    if parent is not None:
        client.set_terminated(parent, status)
    for lost in end_lost_runs(client, name):
        print(f"{lost}: still open; KILLED", flush=True)
