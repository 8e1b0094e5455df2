"""A run on Kubeflow as a person follows it: a line whenever a step moves, and at a failure where and why."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from components.console.command import StepFailedError
from metasgd.errors import InputError
from pipelines.dag import Lane
from pipelines.kubeflow.endpoint import UnavailableError
from pipelines.kubeflow.server import Kubeflow, state_of
from pipelines.kubeflow.workflow import Workflow

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
PATIENCE = 600  # seconds that the API may be away
TAIL = 10  # lines of a failed step's log
LAST = datetime.max.replace(tzinfo=UTC)  # of what has no time yet
Show = Callable[[str], None]


@dataclass(frozen=True)
class Failure:
    """A task that failed: in words, and its last pod, where it had one."""

    what: str
    pod: str | None


def follow(kubeflow: Kubeflow, run_id: str, lanes: Sequence[Lane], show: Show, interval: float = 5.0) -> None:
    """Show a line whenever a step of the lanes moves, until the run has ended.

    interval: seconds between questions.
    Raises StepFailedError unless it succeeds, and InputError where the API stays away.
    """
    told: dict[str, str] = {}
    while True:
        run = _ask(kubeflow, run_id, show, interval)
        details = (run.run_details.task_details if run.run_details else None) or []
        for what, state in progress(details, lanes):
            if told.get(what) != state:
                told[what] = state
                show(f"{what} {state}")
        if run.state in ENDED:
            break
        time.sleep(interval)
    page = kubeflow.address(run_id)
    match state_of(run):
        case "SUCCEEDED":
            return
        case "FAILED":
            raise StepFailedError(
                f"the run failed: {_why(kubeflow, run, failures(details, lanes), show)} ({page})"
            )
        case state:
            raise StepFailedError(f"the run was {state} ({page})")


def progress(details: Sequence[Any], lanes: Sequence[Lane]) -> Iterator[tuple[str, str]]:
    """(lane and step, how far it is), for every step that has begun.

    details: the `task_details` of a run (kfp_server_api.V2beta1PipelineTaskDetail).
    """
    workflow = Workflow(details)
    for lane in lanes:
        for step, task in lane.tasks.items():
            nodes = _newest(task, workflow)
            if not nodes:
                continue
            state = _counted(nodes, len(lane.trainings)) if step == "train" else _alone(nodes[-1])
            again = workflow.attempts(task)
            yield f"{lane.experiment}: {step}", f"{state}, {again} tried again" if again else state
    for node in _newest("finish", workflow)[-1:]:
        yield "finish", _alone(node)


def _newest(task: str, workflow: Workflow) -> list[Any]:
    """The nodes of a task in the order of their start, one for each place in its loop.

    Where a place was tried again, it is the last one's. A driver that failed stands for the task, which then
    never runs.
    """
    newest: dict[object, Any] = {}
    for detail in sorted(workflow.details, key=lambda one: one.start_time or LAST):
        failed_driver = detail.display_name == f"{task}-driver" and detail.state == "FAILED"
        if failed_driver or (detail.display_name == task and detail.state):
            iteration = workflow.place(detail).iteration
            newest[detail.task_id if iteration is None else iteration] = detail
    return list(newest.values())


def failures(details: Sequence[Any], lanes: Sequence[Lane]) -> list[Failure]:
    """The tasks that failed, the first cause first."""
    words = {task: (lane, step) for lane in lanes for step, task in lane.tasks.items()}
    workflow = Workflow(details)
    failed = sorted(
        (detail for detail in details if detail.state == "FAILED" and detail.display_name),
        key=lambda detail: (_task(detail) == "finish", detail.end_time or LAST),
    )
    return [
        _failure(detail, words, workflow)
        for detail in failed
        if _task(detail) in words or _task(detail) == "finish"
    ]


def _failure(detail: Any, words: Mapping[str, tuple[Lane, str]], workflow: Workflow) -> Failure:
    place = workflow.place(detail)
    driver = ", in its driver" if detail.display_name.endswith("-driver") else ""
    if _task(detail) == "finish":
        return Failure(f"finish{driver}", place.pod)
    lane, step = words[_task(detail)]
    training = (
        f" of {lane.trainings[place.iteration]}" if step == "train" and place.iteration is not None else ""
    )
    return Failure(f"{lane.experiment}: {step}{training}{driver}", place.pod)


def _task(detail: Any) -> str:
    return str(detail.display_name).removesuffix("-driver")


def _counted(nodes: Sequence[Any], total: int) -> str:
    """How many of the trainings are where."""
    states = [node.state for node in nodes]
    parts = [f"{states.count('SUCCEEDED')} of {total} done"]
    for state, word in (("FAILED", "failed"), ("RUNNING", "running"), ("PENDING", "waiting")):
        if states.count(state):
            parts.append(f"{states.count(state)} {word}")
    return ", ".join(parts)


def _alone(node: Any) -> str:
    """A step's state in a word; one that took no time at all had no pod."""
    if node.state == "SUCCEEDED":
        return "from the cache" if node.start_time == node.end_time else "done"
    return {"PENDING": "waiting"}.get(node.state, str(node.state).lower())


def _why(kubeflow: Kubeflow, run: Any, failed: Sequence[Failure], show: Show) -> str:
    """The first cause in words. Every failure is shown before, with its log."""
    for failure in failed:
        _show(kubeflow, run.run_id, failure, show)
    error = " ".join(run.error.message.split()) if run.error and run.error.message else ""
    if not failed:
        return error or "no step says why"
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"{failed[0].what}{more}{f', {error}' if error else ''}"


def _show(kubeflow: Kubeflow, run_id: str, failure: Failure, show: Show) -> None:
    """Where a failure's log is, and its last lines where the API gives them."""
    if failure.pod is None:
        show(f"{failure.what} failed, and left no log")
        return
    show(f"{failure.what} failed, its log: {kubeflow.log_address(run_id, failure.pod)}")
    for line in kubeflow.log(run_id, failure.pod)[-TAIL:]:
        show(f"  | {line}")


def _ask(kubeflow: Kubeflow, run_id: str, show: Show, interval: float) -> Any:
    """The run as it is now; an API that is away is waited for."""

    def away(attempt: Any) -> None:
        if attempt.attempt_number == 1:
            show(f"warning: {attempt.outcome.exception()}; asking again")

    patiently = Retrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_exponential(multiplier=interval, max=60),
        stop=stop_after_delay(PATIENCE),
        before_sleep=away,
        reraise=True,
    )
    try:
        return patiently(kubeflow.run, run_id)
    except InputError as error:
        raise InputError(f"{error}; the run goes on: {kubeflow.address(run_id)}") from None
