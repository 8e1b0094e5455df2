"""Commands: --help explains every option at once, and mistakes are one line with exit code 2."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.config.code import ROOT
from components.console.command import INTERRUPTED, StepFailedError, run_command
from metasgd.errors import CheckpointError, InputError

PARAMS = ROOT / "params.yaml"
COMMANDS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for room in ("components", "pipelines")
    for file in (ROOT / room).rglob("*.py")
    if "run_command(main)" in file.read_text()
)
SLOW = ("torch", "mlflow", "pandas", "pydantic", "kfp", "matplotlib")

# Shows the help as a user sees it, then what the parser knows and what was imported for it.
ASK_FOR_HELP = """
import argparse, json, runpy, sys
parsers, print_help = [], argparse.ArgumentParser.print_help

def remember(parser, file=None):
    parsers.append(parser)
    print_help(parser, file)

argparse.ArgumentParser.print_help = remember
sys.argv = ["command", "--help"]
try:
    runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code
actions = parsers[0]._actions
print()
print(json.dumps({{
    "code": code,
    "names": [action.option_strings[-1] if action.option_strings else action.dest for action in actions],
    "unexplained": [action.dest for action in actions if not (action.help or "").strip()],
    "description": parsers[0].description,
    "slow": [name for name in {slow!r} if name in sys.modules],
}}))
"""


def python(*arguments: str, folder: Path = PARAMS.parent) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option_at_once(command: str) -> None:
    """Exit code 0, a sentence for the command and one for each option, without waiting for torch."""
    finished = python("-c", ASK_FOR_HELP.format(module=command, slow=SLOW))
    assert finished.returncode == 0, finished.stderr
    shown, _, found = finished.stdout.rstrip().rpartition("\n")
    about = json.loads(found)
    assert about["code"] in (0, None)
    assert f"usage: python -m {command}" in shown
    assert len(about["description"]) > 20
    assert all(name in shown for name in about["names"])
    assert about["unexplained"] == []
    assert about["slow"] == []


def test_help_of_a_real_command() -> None:
    """As it is typed: exit code 0, on stdout."""
    finished = python("-m", "components.train", "--help")
    assert finished.returncode == 0
    assert "--algorithm" in finished.stdout
    assert finished.stderr == ""


def ends(main: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code and stderr of a command's main function."""
    with pytest.raises(SystemExit) as end:
        run_command(main)
    captured = capsys.readouterr()
    assert captured.out == ""
    return end.value.code, captured.err


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("kind", [InputError, CheckpointError])
def test_bad_input_is_one_line(kind: type[InputError], capsys: pytest.CaptureFixture[str]) -> None:
    """The message, and exit code 2."""
    assert ends(raising(kind("x is 3; expected 4")), capsys) == (2, "error: x is 3; expected 4\n")


def test_failed_steps_and_interrupts_have_codes_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """1 for a pipeline's step that failed, 130 for Ctrl-C."""
    assert ends(raising(StepFailedError("train failed")), capsys) == (1, "error: train failed\n")
    assert ends(raising(KeyboardInterrupt()), capsys) == (INTERRUPTED, "error: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The system's own error of a device that is full."""

    def main() -> None:
        Path("/dev/full").write_text("more")

    code, line = ends(main, capsys)
    assert code == 2
    assert "cannot be written (No space left on device)" in line
    assert line.count("\n") == 1


def test_no_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Torch's own error of a tensor that is too large, and Python's."""
    for main in (lambda: torch.empty(2**60), raising(MemoryError())):
        code, line = ends(main, capsys)  # type: ignore[arg-type]
        assert code == 1
        assert line.startswith("error: out of memory (")
        assert line.endswith("expected less work or more memory\n")
        assert line.count("\n") == 1
    with pytest.raises(RuntimeError, match="shapes"):
        run_command(raising(RuntimeError("shapes differ")))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_places_that_cannot_be_written(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Full, over quota, forbidden or read-only: the line names the place and the reason."""
    reason = os.strerror(number)
    code, line = ends(raising(OSError(number, reason, "/mnt/out")), capsys)
    assert (code, line) == (2, f"error: /mnt/out: cannot be written ({reason}); nothing was kept\n")


def test_mistakes_of_the_code_are_not_hidden() -> None:
    """What is not the user's to mend keeps its traceback."""
    for error in (KeyError("weights"), OSError(errno.EIO, "Input/output error")):
        with pytest.raises(type(error)):
            run_command(raising(error))


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    """The only line on stderr of a command that refused its input."""
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def preprocess(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    given = ["--experiment", "sinusoid-5shot", "--params", str(PARAMS), *options]
    return python("-m", "components.preprocess", *given, "--output", str(tmp_path / "out"))


def test_a_step_refuses_in_one_line(tmp_path: Path) -> None:
    """The real command with a misspelt key: exit code 2, the known keys, nothing written."""
    line = one_line(preprocess(tmp_path, "--set", "tasks.sed=1"))
    assert "'sed' is unknown; expected one of kind, distribution, stored, seed" in line
    assert not list(tmp_path.iterdir())


def test_a_step_writes_its_output(tmp_path: Path) -> None:
    """The real command as DVC calls it: exit code 0, nothing on stderr, the episodes there."""
    small = ["--set", "tasks.stored.test=2", "--set", "tasks.stored.gate=2"]
    finished = preprocess(tmp_path, *small)
    assert (finished.returncode, finished.stderr) == (0, "")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["tasks"]["stored"]["gate"] == 2


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    """A file where the folder should be: one line, and the file stays."""
    (tmp_path / "out").write_text("mine")
    assert "out" in one_line(preprocess(tmp_path))


def test_an_input_that_is_a_file(tmp_path: Path) -> None:
    """--episodes points at a file instead of a folder: one line that names it."""
    (tmp_path / "episodes").write_text("")
    given = ["--experiment", "sinusoid-5shot", "--algorithm", "maml", "--params", str(PARAMS)]
    places = ["--episodes", str(tmp_path / "episodes"), "--output", str(tmp_path / "out")]
    assert "episodes" in one_line(python("-m", "components.train", *given, *places))


@pytest.mark.parametrize(
    "command",
    [
        ("components.tracking.rollback", ""),
        ("components.serving.predict", "", "--output", "out"),
        ("components.serving.serve", ""),
        ("pipelines.kubeflow.deploy", "--model", ""),
    ],
)
def test_a_model_that_is_not_given_is_missed_at_once(command: tuple[str, ...]) -> None:
    """As make passes it on: one line, before anything that takes long."""
    finished = python("-X", "importtime", "-m", *command)
    assert finished.returncode == 2
    *imported, last = finished.stderr.splitlines()
    assert last == "error: MODEL is missing; expected a model's name, as in MODEL=glyphs-5way-1shot"
    assert not [line for line in imported if line.split("|")[-1].strip() in SLOW]


@pytest.mark.parametrize(
    "command",
    [
        ("pipelines",),
        ("pipelines.tune", "--rates", "0.1"),
        ("pipelines.sweeps", "--experiment", "sinusoid-5shot", "--over", "train.rate=0.1"),
        ("pipelines.publishing.publish",),
    ],
)
def test_a_misspelt_key_is_refused_at_once(command: tuple[str, ...]) -> None:
    """By the parameters' file alone: before torch, MLflow or KFP are imported."""
    finished = python("-X", "importtime", "-m", *command, "--set", "train.iteration=5")
    assert finished.returncode == 2
    *imported, last = finished.stderr.splitlines()
    assert last.startswith(
        "error: SET 'train.iteration=5'.train: key 'iteration' is unknown; expected one of"
    )
    slow = {"torch", "mlflow", "pandas", "kfp", "matplotlib"}
    assert not [line for line in imported if line.split("|")[-1].strip() in slow]
