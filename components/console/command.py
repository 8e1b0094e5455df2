"""What every command does alike: options from params.yaml, and errors in one line."""

import argparse
import errno
import re
import sys
from collections.abc import Callable
from pathlib import Path

from components.console.messages import in_one_line
from components.console.signals import Terminated
from metasgd.errors import InputError

NO_MEMORY = re.compile("allocate memory|out of memory")  # in torch's words
INTERRUPTED, TERMINATED = 130, 143  # what a shell reports for Ctrl-C and for SIGTERM


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
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
            raise
        _stop(
            f"out of memory ({in_one_line(error) or 'no more to be had'}); expected less work or more memory",
            1,
        )
    except KeyboardInterrupt as end:
        _stop(str(end) or "interrupted", INTERRUPTED)
    except Terminated as end:
        _stop(str(end) or "terminated", TERMINATED)


def _stop(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def require_model(name: str) -> None:
    """make passes MODEL on empty where it was told none. Raises InputError."""
    if not name:
        raise InputError("MODEL is missing; expected a model's name, as in MODEL=glyphs-5way-1shot")


def step_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options of every step that reads params.yaml."""
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
