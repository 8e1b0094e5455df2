"""A training in several processes: one per GPU of the pod, or as many as `train.processes` says."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from components.console.command import StepFailedError
from components.console.signals import Terminated
from metasgd.configuration import TrainingSettings, TrpoSettings
from metasgd.errors import InputError
from metasgd.loop import pick_device


def processes(settings: TrainingSettings | TrpoSettings) -> int:
    """How many to start: 1 within one that was started so, and for meta-training by reinforcement."""
    if isinstance(settings, TrpoSettings) or "TORCHELASTIC_RUN_ID" in os.environ:
        return 1
    if settings.processes:
        return settings.processes
    if pick_device(settings.device).type != "cuda":
        return 1
    gpus = range(1, torch.cuda.device_count() + 1)
    return max(count for count in gpus if settings.meta_batch % count == 0)


def launch(count: int, function: Callable[..., None], *arguments: Any) -> None:
    """What `torchrun` does: the function in `count` processes.

    Raises InputError as the first that failed did, StepFailedError for any other failure, and Terminated or
    KeyboardInterrupt when a signal ended them.
    """
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=count, run_id="metasgd", max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", monitor_interval=0.1,
    )  # fmt: skip
    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # it would repeat what is raised
    try:
        elastic_launch(config, _recorded)(function, *arguments)
    except SignalException as error:
        raise (KeyboardInterrupt if error.sigval == signal.SIGINT else Terminated) from None
    except ChildFailedError as error:
        raise _raised(error.get_first_failure()[1]) from None


def _raised(failure: ProcessFailure) -> Exception:
    """The error of a process; the traceback of one that nobody expected is printed."""
    said = failure.error_file_data.get("message", failure.message)
    if isinstance(said, str):  # it was killed
        return StepFailedError(said)
    kind, _, reason = said["message"].partition(": ")
    if any(kind == known.__name__ for known in _with_subclasses(InputError)):
        return InputError(reason)
    print(said["extraInfo"]["py_callstack"], file=sys.stderr)
    return StepFailedError(said["message"])


@record
def _recorded(function: Callable[..., None], *arguments: Any) -> None:
    try:
        function(*arguments)
    except (KeyboardInterrupt, Terminated) as end:  # the launcher had the signal too, and ends all
        if str(end):  # only the one that leads kept anything
            print(end, flush=True)


def _with_subclasses(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(known for own in kind.__subclasses__() for known in _with_subclasses(own))]
