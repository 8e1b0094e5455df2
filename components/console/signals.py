"""SIGTERM and Ctrl-C, which end a program where it can bear it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 5.0  # seconds until a signal interrupts whatever is going on


class Terminated(BaseException):  # no error, as KeyboardInterrupt is none
    """SIGTERM arrived (see `stoppable`)."""


class Stop:
    """A stop that was requested, by SIGTERM or Ctrl-C (see `stoppable`).

    The next `check` raises it. Libraries do not bear an exception at any moment: torch makes an error of its
    own of it, a database stays locked, or it is lost. Only when the signal comes again, or after PATIENCE
    seconds, is it raised wherever the program is, again and again until `end`.
    """

    def __init__(self) -> None:
        self.requested: type[BaseException] | None = None

    def check(self) -> None:
        """Raises Terminated or KeyboardInterrupt where a signal has asked for it."""
        if self.requested is not None:
            raise self.requested

    def end(self) -> type[BaseException] | None:
        """From now on only another signal interrupts what is left to do; returns what was requested."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self.requested

    def handle(self, number: int, frame: object) -> None:
        self.check()
        self.requested = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)


@contextmanager
def raising_terminated() -> Iterator[None]:
    """Within, SIGTERM raises Terminated wherever the program is, as Ctrl-C raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within, a signal only requests a stop, and the code that calls `check` stops there."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # which alone can handle signals
        yield stop
        return
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    # What is ignored stays so: a shell's background jobs are not to hear of Ctrl-C.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop.handle) for number in heard}
    try:
        yield stop
    finally:
        stop.end()
        for number, handler in before.items():
            signal.signal(number, handler)
