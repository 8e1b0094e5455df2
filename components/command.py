"""What every step's command does alike: options from params.yaml, and errors in one line."""

import argparse
import errno
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metasgd.errors import InputError

INTERRUPTED, TERMINATED = 130, 143  # what a shell reports for Ctrl-C and for SIGTERM
PATIENCE = 5.0  # seconds until a signal interrupts whatever is going on


class Terminated(BaseException):  # no error, as KeyboardInterrupt is none
    """SIGTERM arrived (see `stoppable`)."""


class StepFailedError(Exception):
    """A step of a pipeline failed by something that is not the user's to mend."""


def run_command(main: Callable[[], None]) -> None:
    """Run `main`; bad input ends the process with one line and exit code 2."""
    try:
        main()
    except InputError as error:
        _stop(str(error), 2)
    except StepFailedError as error:
        _stop(str(error), 1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        _stop(f"{error.filename or 'a file'}: cannot be written ({error.strerror}); nothing was kept", 2)
    except KeyboardInterrupt as end:
        _stop(str(end) or "interrupted", INTERRUPTED)
    except Terminated as end:
        _stop(str(end) or "terminated", TERMINATED)


class Stop:
    """A wish to stop, by SIGTERM or Ctrl-C (see `stoppable`).

    The next `check` grants it. Libraries do not bear an exception at any moment: torch makes an error of its
    own of it, a database stays locked, or it is lost. Only when the signal comes again, or after PATIENCE
    seconds, is it raised wherever the program is, again and again until `end`.
    """

    def __init__(self) -> None:
        self.wish: type[BaseException] | None = None

    def check(self) -> None:
        """Raises Terminated or KeyboardInterrupt where that is wished."""
        if self.wish is not None:
            raise self.wish

    def end(self) -> type[BaseException] | None:
        """From now on only another signal interrupts what is left to do; returns the wish."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self.wish

    def handle(self, number: int, frame: object) -> None:
        self.check()
        self.wish = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within, signals are wishes, for the code that checks them."""
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


def _stop(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def step_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every step has."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--experiment", required=True, help="an experiment of params.yaml")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the experiments' file")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a parameter, as in train.iterations=2000; can be given several times",
    )
    parser.add_argument("--output", type=Path, required=True, help="the folder that is written")
    return parser
