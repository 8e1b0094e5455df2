"""The local runner: the compiled pipeline in kfp.local, on this machine and interpreter.

kfp.local swaps log handlers and `print` while it runs, so it gets a process of its own
(`pipelines.local.warm`); the launcher reads its lines.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from components.console.signals import Terminated
from metasgd.errors import InputError
from pipelines.dag import NAME, Lane
from pipelines.local.output import Output


@contextmanager
def safe_paths(checkout: Path) -> Iterator[tuple[Path, Path]]:
    """The checkout and this interpreter, under names that kfp's local runner can bear.

    It writes the interpreter's path unquoted into a shell command and replaces the text "python3"
    everywhere in it, so a path with a space or that text is reached through temporary links.
    """
    prefix = Path(sys.prefix)
    if not any(re.search(r"[^\w./+-]|python3", str(path)) for path in (checkout, prefix)):
        yield checkout, prefix / "bin" / "python"
        return
    with tempfile.TemporaryDirectory(prefix="metasgd-") as links:
        here, environment = Path(links) / "checkout", Path(links) / "environment"
        here.symlink_to(checkout)
        environment.symlink_to(prefix)
        yield here, environment / "bin" / "python"


def run_here(
    package: Path,
    root: Path,
    log: Path,
    show: Callable[[str], None],
    module: str = "pipelines.local.warm",
    held: Sequence[int] = (),
    finished: Path | None = None,
) -> tuple[Path, Counter[str]]:
    """Run a compiled pipeline on this machine.

    Returns the folder with a folder per task, and how many times a step was taken from an earlier run.

    module: whose command runs it: this one's, or that of `pipelines.local.containers`.
    package, root, log, finished: paths relative to the checkout, which is the current folder.
    show: told every line of the output, without colours and indentation; the log keeps them all.
    held: descriptors that the process inherits.
    finished: what earlier runs have finished (pipelines.local.finished); without it, every step runs.
    Raises InputError or StepFailedError, with the failed step's own error and the place of the log.
    """
    output = Output()
    places = [package, root, *([finished] if finished else [])]
    with safe_paths(Path.cwd()) as (here, python), log.open("w", buffering=1) as kept, _scratch() as scratch:
        command = [str(python), "-u", "-m", module, *(str(here / place) for place in places)]
        with subprocess.Popen(
            command, cwd=here, env={**os.environ, "TMPDIR": scratch}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", pass_fds=held, process_group=0,
        ) as process:  # fmt: skip
            try:
                for line in process.stdout or []:
                    kept.write(line)
                    show(output.read(line))
            except (KeyboardInterrupt, Terminated) as end:
                number = signal.SIGINT if isinstance(end, KeyboardInterrupt) else signal.SIGTERM
                _stop(process, number, kept)
                raise
        if process.returncode:
            raise output.error(log)
    return max(root.glob(f"{NAME}-*")), output.taken


def _stop(process: subprocess.Popen[str], number: signal.Signals, log: TextIO) -> None:
    """The runner and its steps, which keep what they have; at once, where that is asked for again."""
    with suppress(ProcessLookupError):  # they have ended meanwhile
        os.killpg(process.pid, number)
        try:
            log.writelines(process.stdout or [])  # until the last of them has ended
        except (KeyboardInterrupt, Terminated):
            os.killpg(process.pid, signal.SIGKILL)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what kfp leaves behind: one of its own for every step."""
    return tempfile.TemporaryDirectory(prefix="metasgd-", ignore_cleanup_errors=True)


def require_outputs(run: Path, lanes: Sequence[Lane], taken: Counter[str]) -> None:
    """Believe in success only where every step of every lane left its outputs.

    taken: how many outputs of each task are from earlier runs.
    """
    for lane in lanes:
        for step, task in lane.tasks.items():
            wanted = (len(lane.trainings) if step == "train" else 1) - taken[task]
            found = len(list(run.rglob(f"{task}/executor_output.json")))
            if found != wanted:
                raise InputError(
                    f"{run}: {task} left {found} outputs; expected {wanted}: the run is not whole"
                )


def refuse_python3(lanes: Sequence[str]) -> None:
    """kfp's local runner would rewrite the text "python3" inside parameters too."""
    for text in lanes:
        if "python3" in text:
            raise InputError(
                'a parameter holds "python3", which kfp\'s local runner rewrites; expected another'
            )
