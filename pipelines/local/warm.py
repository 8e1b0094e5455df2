"""Steps that start warm: forks of a process that has imported what they import, and so does it once for all.

kfp's local runner starts an interpreter for each step, which spends more time on importing torch and MLflow
than a short step takes. What runs in the fork is what the step's command would run: kfp's executor.
"""

import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from pathlib import Path

EXECUTOR = "kfp.dsl.executor_main"
STEPS = ("preprocess", "train", "evaluate", "rollout", "promote", "report", "choose", "finish")
PRELOADED = (EXECUTOR, *(f"components.{step}.step" for step in STEPS))
RUNTIME = "_KFP_RUNTIME"  # set where a step runs: kfp then imports no compiler

_context = get_context("forkserver")


def start() -> bool:
    """Begin to import, in the background. False where no fork can be asked for: below a long TMPDIR."""
    _context.set_forkserver_preload(list(PRELOADED))
    os.environ[RUNTIME] = "true"
    try:
        forkserver.ensure_running()
    except OSError:  # a socket's path has some hundred characters at most
        return False
    finally:
        del os.environ[RUNTIME]
    return True


def run_local_subprocess(full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
    """As kfp's function of this name: run a step's command, pass its output on, return its exit code."""
    *_, source = full_command[:4]  # sh -ec SCRIPT SOURCE, and the arguments of kfp's executor
    reading, writing = _context.Pipe(duplex=False)
    process = _context.Process(target=_execute, args=(source, full_command[4:], env_vars or {}, writing))
    process.start()
    writing.close()
    with reading, os.fdopen(os.dup(reading.fileno()), errors="replace") as lines:
        for line in lines:
            print(line, end="")
    process.join()
    code = process.exitcode or 0
    print(f"{signal.strsignal(-code) if code < 0 else ''}\n")  # as a shell would say it
    return code


def _execute(source: str, arguments: Sequence[str], variables: Mapping[str, str], output: Connection) -> None:
    """In the fork: kfp's executor, on the step's source."""
    os.dup2(output.fileno(), sys.stdout.fileno())
    os.dup2(output.fileno(), sys.stderr.fileno())
    output.close()
    os.environ.update({**variables, RUNTIME: "true"})
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ephemeral_component.py"
        program.write_text(source)
        sys.argv = [EXECUTOR, "--component_module_path", str(program), *arguments]
        runpy.run_module(EXECUTOR, run_name="__main__")


def main() -> None:
    """python -m pipelines.local.warm PACKAGE ROOT [FINISHED]"""
    started = start()

    from kfp import components, local
    from kfp.local import subprocess_task_handler

    from pipelines.local.finished import use_finished_steps

    if started:
        subprocess_task_handler.run_local_subprocess = run_local_subprocess
    package, root, *finished = sys.argv[1:]
    use_finished_steps(local.SubprocessRunner(use_venv=False), root, *finished)
    components.load_component_from_file(package)()


if __name__ == "__main__":
    main()
