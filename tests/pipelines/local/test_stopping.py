"""Runs that are stopped or killed at any stage: the same command ends with the same weights.

Tests kill as often as KILLS says, twice by default; `make test-slow` does it more often.
"""

import hashlib
import os
import random
import re
import signal
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.pipelines.checkout import OURS, make_checkout, run

STAGES = ("preprocess", "train", "evaluate", "promote", "report", "finish")
KILLS = int(os.environ.get("KILLS", "2"))
SMALL = [
    "train.iterations=300",
    "train.validate_every=150",
    "train.threads=1",
    "algorithms.meta-sgd.start=[0.02, 0.02]",
    "tasks.stored={validation: 3, gate: 20, test: 6, test_shots: [5], test_queries: 4}",
]
COMMAND = ("pipelines", "--experiments", "sinusoid-5shot", "--set", *SMALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


def stopped(checkout: Path, stage: str, number: signal.Signals) -> tuple[int, str]:
    """Its exit code and its last words, after a signal as soon as it says that it is at this stage."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    command = [str(checkout / ".venv" / "bin" / "python"), "-u", "-m", *COMMAND]
    with subprocess.Popen(
        command, cwd=checkout, env={**inherited, "PYTHONPATH": str(checkout)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        # Where tests run in the background, a shell lets them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if re.search(rf"(^|: ){stage}(: |$)", line.rstrip()):
                break
        if number == signal.SIGKILL:  # all of it, as a machine that loses its power
            subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=True)
        else:
            process.send_signal(number)
        process.stdout.read()
        words = process.stderr.read()
    return process.returncode, words


def statuses(checkout: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{checkout}/.local/mlflow.db")
    places = [one.experiment_id for one in client.search_experiments()]
    return [run.info.status for run in client.search_runs(places)]


def weights(checkout: Path) -> set[tuple[str, str]]:
    """Of all runs: every training, with each of the digests that its weights have had."""
    files = (checkout / ".local" / "runs").rglob("checkpoint/weights.safetensors")
    return {(file.parts[-4], hashlib.sha256(file.read_bytes()).hexdigest()) for file in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """The weights of a run that nobody stopped."""
    checkout = make_checkout(tmp_path_factory.mktemp("whole") / "checkout")
    done = run(checkout, *COMMAND)
    assert done.returncode == 0, done.stderr
    return weights(checkout)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_stopped_run_ends_its_steps_and_its_rows(
    checkout: Path, number: signal.Signals, code: int, word: str
) -> None:
    """One line, nobody left at work, and nothing that stays RUNNING in MLflow."""
    ended, words = stopped(checkout, "train", number)
    assert (ended, words) == (code, f"error: {word}\n")
    assert "RUNNING" not in statuses(checkout)
    assert "KILLED" in statuses(checkout)
    left = subprocess.run(["pgrep", "-f", str(checkout)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_what_was_finished_before_a_kill_is_not_done_again(
    checkout: Path, whole: set[tuple[str, str]]
) -> None:
    """Both trainings are taken from the killed run; by CACHE=off, they are not."""
    stopped(checkout, "evaluate", signal.SIGKILL)
    repeated = run(checkout, *COMMAND)
    assert repeated.returncode == 0, repeated.stderr
    assert repeated.stdout.count("sinusoid-5shot: train: finished by an earlier run\n") == 2
    assert "sinusoid-5shot: evaluate\n" in repeated.stdout
    assert len(statuses(checkout)) == 2 + 2, "two pipeline runs, two trainings"
    anew = run(checkout, *COMMAND, "--cache", "off")
    assert "earlier run" not in anew.stdout
    assert len(statuses(checkout)) == 2 + 2 + 3
    assert weights(checkout) == whole


def test_a_run_killed_at_any_stage_is_repeated_with_the_same_weights(
    checkout: Path, whole: set[tuple[str, str]]
) -> None:
    """SIGKILL for all of it, again and again; then the same command, to its end."""
    drawn = random.Random(KILLS)  # noqa: S311
    for _ in range(KILLS):
        stopped(checkout, drawn.choice(STAGES), signal.SIGKILL)
    done = run(checkout, *COMMAND)
    assert done.returncode == 0, done.stderr
    assert weights(checkout) == whole
    assert set(statuses(checkout)) <= {"FINISHED", "KILLED"}
    client = MlflowClient(f"sqlite:///{checkout}/.local/mlflow.db")
    assert client.get_model_version_by_alias("sinusoid-5shot", "champion")
    assert [model.name for model in client.search_registered_models()] == ["sinusoid-5shot"]
    assert not list((checkout / ".local" / "states").glob("*"))
