"""What kfp's local runner prints, read for what became of the steps."""

import re
import signal
from collections import Counter
from pathlib import Path

from components.console.command import StepFailedError
from metasgd.errors import InputError

COLOUR = re.compile(r"\x1b\[\d+m")
STARTED = re.compile(r"Executing task '([\w-]+)'")
TAKEN = re.compile(r"^Task '([\w-]+)' was finished by an earlier run$")
# All errors of these packages are for the user to mend, but one.
PACKAGES, NO_INPUT_ERROR = ("components.", "metasgd."), "StepFailedError"
FULL_DISK = re.compile(r"\[Errno 28\]|disk is full")
FAILED = re.compile(r"Task '([\w-]+)' finished with status FAILURE")
# kfp's own error says no more than that a step failed.
FAILURE = re.compile(r"^([\w.]+\.)?(\w+(?:Error|Exception|Interrupt)): (?!Pipeline '\w+' finished)(.+)$")
# A step runs under a shell, which tells what signal ended it: kfp keeps no exit code.
SIGNALS = {signal.strsignal(number) or number.name: number for number in signal.Signals}
KILLED = re.compile(rf"(?:.*\d+ )?({'|'.join(map(re.escape, SIGNALS))})(?: \(core dumped\))?(?: |$)")
WHY = {signal.SIGKILL: ": out of memory, or by hand"}


def taken_line(task: str) -> str:
    """What TAKEN finds."""
    return f"Task '{task}' was finished by an earlier run"


class Output:
    """Told every line; afterwards, `error` says why the run failed: what failed first.

    failure: an error that a step raised. step: the one that failed. killed: the end of its process.
    taken: how many times a step was taken from an earlier run.
    """

    def __init__(self) -> None:
        self.failure: re.Match[str] | None = None
        self.step: re.Match[str] | None = None
        self.killed: re.Match[str] | None = None
        self.taken: Counter[str] = Counter()

    def read(self, line: str) -> str:
        """The line as it is shown, without colours and indentation."""
        text = COLOUR.sub("", line).strip()
        self.failure = self.failure or FAILURE.match(text)
        self.step = self.step or FAILED.search(text)
        self.killed = self.killed or KILLED.match(text)
        if found := TAKEN.search(text):
            self.taken[found[1]] += 1
        return text

    def error(self, log: Path) -> Exception:
        """InputError for what the user can mend; StepFailedError for all else."""
        if self.failure is None:
            return StepFailedError(f"{self._silent_end()} (log: {log})")
        module, kind, message = self.failure.groups("")
        is_input = module.startswith(PACKAGES) and kind != NO_INPUT_ERROR
        if is_input or FULL_DISK.search(message):
            return InputError(f"{message} (log: {log})")
        return StepFailedError(f"{kind}: {message} (log: {log})")

    def _silent_end(self) -> str:
        if self.step is None:
            return "the pipeline failed"
        if self.killed is None:
            return f"step {self.step[1]} ended without a word"
        number = SIGNALS[self.killed[1]]
        return f"step {self.step[1]} was killed by {number.name}{WHY.get(number, '')}"
