"""How a run on Kubeflow went, as its last step can know it.

KFP tells an exit handler the state that MLMD last noted of the tasks before it, in MLMD's own words: COMPLETE
or CACHED after success, and RUNNING after a failure or a termination, because nobody notes those. Its API
knows more.
"""

import os
from pathlib import Path
from typing import Any

import requests

from components.config.environment import KFP_API, PIPELINE_RUN

STATUS = {
    "COMPLETE": "FINISHED",
    "CACHED": "FINISHED",
    "SUCCEEDED": "FINISHED",
    "RUNNING": "FAILED",  # still, after the end: it was cut short
    "FAILED": "FAILED",
    "CANCELED": "KILLED",
    "CANCELLED": "KILLED",
}
HANDLED = "exit-handler-1"  # the node of all steps but the last
TIMEOUT = 10  # seconds
# Kubeflow mounts a token there for pods that talk to its API, on clusters with many users.
TOKEN_FILE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105  # the variable's name


def status_of(word: str) -> str:
    """MLflow's status of the run: FINISHED, FAILED, or KILLED where it was terminated from outside.

    word: what KFP told the exit handler. The API decides where it answers; why it does not is printed.
    """
    if found := _status_by_api():
        return found
    if word not in STATUS:
        print(f"warning: Kubeflow says {word!r} of the steps before; that counts as a failure", flush=True)
    return STATUS.get(word, "FAILED")


def _status_by_api() -> str | None:
    host, run_id = os.environ.get(KFP_API), os.environ[PIPELINE_RUN]
    if not host:
        return None
    try:
        answer = requests.get(f"{host}/apis/v2beta1/runs/{run_id}", headers=_headers(), timeout=TIMEOUT)
        answer.raise_for_status()
        return _status(answer.json())
    except (requests.RequestException, OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        print(f"warning: the Kubeflow API does not say how the run went ({type(error).__name__})", flush=True)
        return None


def _status(run: dict[str, Any]) -> str | None:
    """None where the API has not heard of the end of the steps yet."""
    if any(past.get("state") == "CANCELING" for past in run.get("state_history") or []):
        return "KILLED"
    tasks = (run.get("run_details") or {}).get("task_details") or []
    handled = [task for task in tasks if task.get("display_name") == HANDLED]
    # The last one, where it was tried again.
    state = max(handled, key=lambda task: task["start_time"])["state"] if handled else None
    return {"SUCCEEDED": "FINISHED", "FAILED": "FAILED"}.get(str(state))


def _headers() -> dict[str, str]:
    path = os.environ.get(TOKEN_FILE)
    return {"Authorization": f"Bearer {Path(path).read_text().strip()}"} if path else {}
