"""The local runner's guards: paths it cannot bear, and success it must not believe."""

import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import compiler, dsl

from components.console.command import StepFailedError
from metasgd.errors import InputError
from pipelines.dag import Lane, task_names
from pipelines.local.interpreter import refuse_python3, require_outputs, run_here, safe_paths
from pipelines.local.output import Output
from tests.pipelines.checkout import ROOT

LANES = [Lane("sinusoid-5shot", task_names(["sinusoid"])[0], ["meta-sgd seed 1", "meta-sgd seed 2"])]
FAILED = "Task 'train' finished with status FAILURE"


def write_outputs(run: Path) -> None:
    """What a whole run of one lane with two trainings leaves."""
    tasks = ["preprocess", "evaluate", "promote", "report"]
    tasks += [f"for-loop-2-iteration-{number}/train" for number in range(2)]
    for task in tasks:
        (run / task).mkdir(parents=True)
        (run / task / "executor_output.json").write_text("{}")


def test_a_whole_run_is_believed(tmp_path: Path) -> None:
    """Every step left its outputs."""
    write_outputs(tmp_path)
    require_outputs(tmp_path, LANES, taken=Counter())


def test_what_was_taken_from_an_earlier_run_leaves_no_outputs(tmp_path: Path) -> None:
    """One training of two."""
    write_outputs(tmp_path)
    (tmp_path / "for-loop-2-iteration-1/train/executor_output.json").unlink()
    require_outputs(tmp_path, LANES, taken=Counter({"train": 1}))


@pytest.mark.parametrize("missing", ["report", "for-loop-2-iteration-1/train"])
def test_a_step_without_outputs_is_no_success(tmp_path: Path, missing: str) -> None:
    """A runner that says SUCCESS is not enough."""
    write_outputs(tmp_path)
    (tmp_path / missing / "executor_output.json").unlink()
    with pytest.raises(
        InputError, match=rf"{missing.rsplit('/', maxsplit=1)[-1]} left \d outputs; expected \d"
    ):
        require_outputs(tmp_path, LANES, taken=Counter())


def test_plain_paths_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No links where none are needed."""
    monkeypatch.setattr(sys, "prefix", "/usr")
    with safe_paths(Path("/plain/checkout")) as (here, python):
        assert here == Path("/plain/checkout")
        assert python == Path("/usr/bin/python")


@pytest.mark.parametrize("name", ["my checkout", "python3-checkout", "a;b", "it's"])
def test_awkward_paths_are_reached_through_links(tmp_path: Path, name: str) -> None:
    """The links lead to the same places, bear plain names, and are gone afterwards."""
    checkout = tmp_path / name
    checkout.mkdir()
    with safe_paths(checkout) as (here, python):
        assert here.resolve() == checkout.resolve()
        assert python.exists()
        assert name not in f"{here} {python}"
    assert not here.exists()


def test_parameters_with_python3_are_refused() -> None:
    """kfp's local runner would rewrite them."""
    refuse_python3(['{"path": "data"}'])
    with pytest.raises(InputError, match="python3"):
        refuse_python3(['{"path": "python3-pictures"}'])


def run_lines(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """run_here, where the runner prints one line and fails."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    (folder / "pipelines" / "local.py").write_text(f"print({line!r})\nraise SystemExit(1)\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    run_here(Path("pipeline.yaml"), Path("root"), Path("run.log"), lambda text: None)


@pytest.mark.parametrize(
    "line",
    [
        "    metasgd.errors.InputError: data/a.zip: no such file; expected an archive",
        "OSError: [Errno 28] No space left on device: 'episodes'",
        "sqlalchemy.exc.OperationalError: database or disk is full",
    ],
)
def test_what_the_user_can_mend_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """The failed step's own line, and the place of the log, which holds everything."""
    with pytest.raises(InputError, match=r"\(log: run\.log\)$") as refused:
        run_lines(tmp_path, monkeypatch, line)
    assert line.split(": ", 1)[1].strip() in str(refused.value)
    assert line in (tmp_path / "run.log").read_text()


def test_other_failures_name_their_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the program is no bad input."""
    with pytest.raises(StepFailedError, match=r"^ZeroDivisionError: division by zero \(log: run\.log\)$"):
        run_lines(tmp_path, monkeypatch, "ZeroDivisionError: division by zero")


@dsl.component(base_image="python:3.11", packages_to_install=None, install_kfp_package=False)
def train(number: int) -> None:
    """A step that a signal ends."""
    import os  # noqa: PLC0415  # it runs alone

    os.kill(os.getpid(), number)


@dsl.component(base_image="python:3.11", packages_to_install=None, install_kfp_package=False)
def finish() -> None:
    """The last step, which follows a failure, too."""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary ones, at a short path as on most machines: a longer one has no sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "step train was killed by SIGKILL: out of memory, or by hand"),
        (signal.SIGSEGV, "step train was killed by SIGSEGV"),
        (signal.SIGTERM, "step train was killed by SIGTERM"),
    ],
)
def test_a_step_that_a_signal_ended_is_named_with_it(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """By kfp's local runner, which keeps no exit code; the temporary folders of its steps are gone."""

    @dsl.pipeline(name="metasgd")
    def pipeline() -> None:
        with dsl.ExitHandler(finish(), name="experiments"):
            train(number=int(number))

    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(StepFailedError) as failed:
        run_here(Path("pipeline.yaml"), Path("root"), Path("run.log"), lambda text: None)
    assert str(failed.value) == f"{words} (log: run.log)"
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([FAILED], "step train ended without a word"),
        (
            ["sh: line 6: 4711 Segmentation fault (core dumped) python", FAILED],
            "step train was killed by SIGSEGV",
        ),
        (["Killed", FAILED, "ValueError: no"], "ValueError: no"),
        ([], "the pipeline failed"),
    ],
)  # fmt: skip
def test_other_shells_and_silence(lines: list[str], words: str) -> None:
    """Bash names the process with its signal, or replaces itself by it; an error says more than a signal."""
    output = Output()
    for line in [*lines, "RuntimeError: Pipeline 'metasgd' finished with status FAILURE. Inner task failed"]:
        output.read(line)
    assert str(output.error(Path("run.log"))) == f"{words} (log: run.log)"
