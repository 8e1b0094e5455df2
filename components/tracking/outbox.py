"""Metrics on their way to MLflow: a thread of their own sends them, so a slow store costs a training nothing.

While the store is away they wait here, and the training goes on.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType

import requests
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from components.tracking.patience import PAUSE, AwayError, impatient, in_words, may_pass, patience
from components.tracking.runs import TrackedRun, as_metrics
from metasgd.errors import InputError

BATCH = 1000  # metrics that MLflow takes at once
LAST_MOMENT = 2.0  # seconds for what waits when a training is interrupted
GLANCE = 0.1  # seconds between two looks at what still waits


class Outbox:
    """Takes the metrics of a run at any time, and sends them in their order; use as a context.

    name: the training's, for what is said: once that the store is away, and once that it is back.
    """

    def __init__(self, run: TrackedRun, name: str) -> None:
        self.client, self.run_id, self.uri, self.name = impatient(run.client), run.run_id, run.uri, name
        self.waiting: list[Metric] = []
        self.problem: InputError | None = None
        self.fault: Exception | None = None
        self.changed = threading.Condition()
        self.closed, self.hurried = False, threading.Event()
        # A daemon, because an answer that never comes must not keep the process from its end.
        self.thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def __enter__(self) -> "Outbox":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join(LAST_MOMENT)
        self.hurried.set()

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        self.log_history([(step, values)])

    def log_history(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """(step, values) of many steps at once."""
        metrics = [metric for step, values in points for metric in as_metrics(values, step)]
        with self.changed:
            self.waiting += metrics
            self.changed.notify_all()

    def settle(self) -> None:
        """Wait until everything is sent, `patience` seconds at most for a store that is away.

        Raises InputError where that is too short, and where the store refuses the metrics; whatever else kept
        them from being sent is raised, too.
        """
        left, due = len(self.waiting), time.monotonic() + patience()
        while self.waiting and self.thread.is_alive():
            if len(self.waiting) < left:
                left, due = len(self.waiting), time.monotonic() + patience()
            if self.problem and time.monotonic() >= due:
                break
            with self.changed:
                self.changed.wait(GLANCE)
        if self.waiting:
            raise self.fault or self.problem or AwayError(f"{self.name}: metrics could not be sent")

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.closed)
                batch = self.waiting[:BATCH]
            if not batch or not self._is_sent(batch):
                return
            with self.changed:
                del self.waiting[: len(batch)]
                self.changed.notify_all()

    def _is_sent(self, batch: list[Metric]) -> bool:
        """However long it takes; not, where the store refuses it, or the process is about to end."""
        try:
            Retrying(
                retry=retry_if_exception(may_pass),
                stop=stop_when_event_set(self.hurried),
                sleep=sleep_using_event(self.hurried),
                wait=wait_exponential(0.25, PAUSE),
                before_sleep=self._note,
                reraise=True,
            )(partial(self.client.log_batch, self.run_id, metrics=batch))
        except (MlflowException, requests.RequestException) as error:
            self.problem = in_words(error, self.uri)
            return False
        except Exception as error:  # a fault of the code, which `settle` raises where somebody sees it
            self.fault = error
            return False
        if self.problem:
            print(f"{self.name}: MLflow answers again", flush=True)
        self.problem = None
        return True

    def _note(self, state: RetryCallState) -> None:
        if self.problem is None and state.outcome and (error := state.outcome.exception()):
            self.problem = in_words(error, self.uri)
            print(f"{self.name}: warning: {self.problem}; its metrics wait here", flush=True)
