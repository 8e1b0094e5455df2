"""A run on Kubeflow as a person follows it: a line whenever a step moves, and at a failure where and why."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from components.command import StepFailedError
from metasgd.errors import InputError
from pipelines.kubeflow.endpoint import UnavailableError
from pipelines.kubeflow.server import Kubeflow, state_of
from pipelines.kubeflow.workflow import Workflow

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
PATIENCE = 600  # seconds that the API may be away
TAIL = 10  # lines of a failed step's log
Show = Callable[[str], None]


@dataclass(frozen=True)
class Lane:
    """What the compiler made of an experiment.

    tasks: step -> the name of its task. trainings: in words, in the order of the loop; other steps run once.
    """

    experiment: str
    tasks: Mapping[str, str]
    trainings: Sequence[str]


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
    if (state := state_of(run)) != "SUCCEEDED":
        reasons = "; ".join(_told(kubeflow, run_id, failure, show) for failure in failures(details, lanes))
        error = " ".join(run.error.message.split()) if run.error and run.error.message else ""
        why = "; ".join(part for part in (reasons, error) if part) or "no step says why"
        raise StepFailedError(f"the run {_ended(state)}: {why} ({kubeflow.address(run_id)})")


def progress(details: Sequence[Any], lanes: Sequence[Lane]) -> Iterator[tuple[str, str]]:
    """(lane and step, how far it is), for every step that has begun.

    details: the `task_details` of a run (kfp_server_api.V2beta1PipelineTaskDetail).
    """
    workflow = Workflow(details)
    for lane in lanes:
        for step, task in lane.tasks.items():
            nodes = [detail for detail in details if detail.display_name == task and detail.state]
            if not nodes:
                continue
            state = _counted(nodes, len(lane.trainings)) if step == "train" else _alone(nodes[0])
            again = workflow.attempts(task)
            yield f"{lane.experiment}: {step}", f"{state}, {again} tried again" if again else state
    for detail in details:
        if detail.display_name == "finish" and detail.state:
            yield "finish", _alone(detail)


def failures(details: Sequence[Any], lanes: Sequence[Lane]) -> list[Failure]:
    """The tasks that failed, the first cause first."""
    words = {task: (lane, step) for lane in lanes for step, task in lane.tasks.items()}
    workflow = Workflow(details)
    failed = sorted(
        (detail for detail in details if detail.state == "FAILED" and detail.display_name),
        key=lambda detail: (_task(detail) == "finish", detail.end_time),
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


def _told(kubeflow: Kubeflow, run_id: str, failure: Failure, show: Show) -> str:
    """The failure in words, after its log's last lines were shown where the API gives them."""
    if failure.pod is None:
        return failure.what
    lines = kubeflow.log(run_id, failure.pod)[-TAIL:]
    if lines:
        show(f"{failure.what}: the last lines of its log")
    for line in lines:
        show(f"  | {line}")
    return f"{failure.what}, its log: {kubeflow.log_address(run_id, failure.pod)}"


def _ended(state: str) -> str:
    return {"CANCELED": "was CANCELED", "SKIPPED": "was skipped"}.get(state, state.lower())


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
