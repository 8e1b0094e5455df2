"""Runs that were killed without a word: the next launcher of the checkout ends them in MLflow."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.tracking.client import PIPELINES
from components.tracking.runs import open_run
from pipelines.local.lost_runs import RUNS, end_lost_runs, end_lost_steps, under_way
from tests.components.lane import store
from tests.pipelines.checkout import ROOT

# What a launcher and its training do, up to where they are killed.
LAUNCHER = """
import sys
from pathlib import Path
from components.tracking.parents import TAG
from components.tracking.runs import PIPELINES, open_run
from pipelines.local.lost_runs import under_way
import os

folder = Path(sys.argv[1])
folder.mkdir(parents=True)
with under_way(folder), open_run(PIPELINES, "metasgd", {TAG: folder.name}) as parent:
    os.environ["METASGD_PARENT_RUN_ID"], os.environ["METASGD_PIPELINE_RUN"] = parent.run_id, folder.name
    with open_run("sinusoid", "training", {}) as training:
        print(parent.run_id, training.run_id, flush=True)
        sys.stdin.read()
"""


# A launcher, and the process that runs its steps, which outlives it.
STEPS = """
import subprocess, sys
from pathlib import Path
from pipelines.local.lost_runs import under_way

folder = Path(sys.argv[1])
with under_way(folder) as lock:
    steps = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    print(steps.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MlflowClient]:
    with store(tmp_path) as found:
        yield found


@pytest.fixture
def launcher(client: MlflowClient) -> Iterator[subprocess.Popen[str]]:
    """A launcher of its own process, at work."""
    command = [sys.executable, "-c", LAUNCHER, str(RUNS / "2026-11-25T15-00-00-000000")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def statuses(client: MlflowClient, runs: list[str]) -> list[str]:
    return [str(client.get_run(run).info.status) for run in runs]


def test_a_killed_launcher_and_its_training_are_killed_in_mlflow(
    client: MlflowClient, launcher: subprocess.Popen[str]
) -> None:
    """Not while it is at work: the lock is let go of by the system, however it ends."""
    assert launcher.stdout is not None
    runs = launcher.stdout.readline().split()
    end_lost_runs(client)
    assert statuses(client, runs) == ["RUNNING", "RUNNING"]
    launcher.kill()
    launcher.wait()
    end_lost_runs(client)
    assert statuses(client, runs) == ["KILLED", "KILLED"]


def test_a_run_whose_launcher_alone_was_killed_is_under_way(client: MlflowClient) -> None:
    """The process that runs its steps holds the lock, too."""
    folder = RUNS / "orphans"
    folder.mkdir(parents=True)
    with open_run(PIPELINES, "metasgd", {"pipeline_parent_of": "orphans"}) as run:
        pass
    client.update_run(run.run_id, status="RUNNING")
    command = [sys.executable, "-c", STEPS, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as launcher:
        assert launcher.stdout is not None
        steps = int(launcher.stdout.readline())
        os.kill(steps, signal.SIGSTOP)  # or the end of its input would end it
        launcher.kill()
        launcher.wait()
        end_lost_runs(client)
        assert statuses(client, [run.run_id]) == ["RUNNING"]
        os.kill(steps, signal.SIGKILL)
        launcher.stdout.read()  # until the last that held it is gone
    end_lost_runs(client)
    assert statuses(client, [run.run_id]) == ["KILLED"]


def test_an_mlflow_that_refuses_is_a_warning(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run that is about to start has nothing to do with those before it."""

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no")

    monkeypatch.setattr(MlflowClient, "search_runs", refuse)
    end_lost_runs(client)
    assert "warning: runs that were killed stay RUNNING in MLflow" in capsys.readouterr().out


def test_runs_of_another_checkout_are_left_alone(client: MlflowClient) -> None:
    """In a store that several share, nobody here knows how they are."""
    with open_run(PIPELINES, "elsewhere", {"pipeline_parent_of": "2026-01-01T00-00-00-000000"}) as run:
        end_lost_runs(client)
        assert statuses(client, [run.run_id]) == ["RUNNING"]


def test_a_step_that_was_killed_does_not_stay_open(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The launcher ends what its steps left running; a store that is away is no error of its own."""
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "this run")
    with open_run("sinusoid", "a training", {}) as run:
        pass
    client.update_run(run.run_id, status="RUNNING")
    end_lost_steps(client, "this run")
    assert statuses(client, [run.run_id]) == ["KILLED"]
    end_lost_steps(MlflowClient("http://127.0.0.1:9"), "this run")


def test_a_lock_is_let_go_of_at_the_end(client: MlflowClient, tmp_path: Path) -> None:
    folder = RUNS / "done"
    folder.mkdir(parents=True)
    with open_run(PIPELINES, "metasgd", {"pipeline_parent_of": "done"}) as run, under_way(folder):
        end_lost_runs(client)
        assert statuses(client, [run.run_id]) == ["RUNNING"]
    client.update_run(run.run_id, status="RUNNING")
    end_lost_runs(client)
    assert statuses(client, [run.run_id]) == ["KILLED"]
