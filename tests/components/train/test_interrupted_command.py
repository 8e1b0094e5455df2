"""Interrupted trainings continue, however they ended, with the same bits: the command."""

import os
import random
import re
import signal
import subprocess
import sys
import threading

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.artifacts.checkpoint import CURVE
from components.config.code import ROOT
from components.console.progress import PROGRESS, READ
from components.train.step import train
from metasgd.checkpoint import WEIGHTS
from tests.components.lane import PARAMS, SINE, TINY, Lane, experiment, run_of, store
from tests.components.storage.kept import always
from tests.components.train.continued import runs


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch)


LAST = 2000
LONG = (f"train.iterations={LAST}", "train.validate_every=500")
POINT = re.compile(rf"\|(\d+)\|{LAST}\|")
# Writes at every point; a number of them is the last one that it finishes, and half of the next.
OFTEN = """
import os, runpy, signal
from components.storage import states, stores

left, sync = {writes}, os.fsync

def torn(number):
    global left
    if left == 0:
        os.truncate(number, os.fstat(number).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    sync(number)

os.fsync, states.REST, stores.LOCAL_WRITE = torn, 0, 0
runpy.run_module("components.train", run_name="__main__", alter_sys=True)
"""
KILLS = int(os.environ.get("KILLS", "3"))  # `make test-slow` has more


def points(said: str) -> list[int]:
    """The iterations of the points that it went through."""
    return [int(found) for found in POINT.findall(said)]


def start_of(said: str) -> int:
    """The iteration that it continued from; 0 for none."""
    found = re.search(r"^sinusoid-5shot meta-sgd seed 1: continues from iteration (\d+)$", said, re.MULTILINE)
    return int(found[1]) if found else 0


class Command:
    """The command in a lane's folder, and the lines that it prints.

    writes: it writes its state at every point, and dies in the middle of a write after so many.
    """

    def __init__(self, lane: Lane, writes: int | None = None) -> None:
        self.folder = lane.root
        arguments = ["--experiment", SINE, "--algorithm", "meta-sgd", "--params", str(PARAMS)]
        arguments += ["--episodes", "episodes", "--output", "out"]
        arguments += [part for setting in (*TINY, *LONG) for part in ("--set", setting)]
        module = ["-m", "components.train"] if writes is None else ["-c", OFTEN.format(writes=writes)]
        self.command = [sys.executable, "-u", *module, *arguments]

    def start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        # Where the tests themselves run in the background, Ctrl-C is ignored, and that is inherited.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**environment, PROGRESS: READ},
                text=True,
                stdout=pipe,
                stderr=pipe,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def stop(self, number: int, after: int, delay: float = 0.0) -> tuple[int, str, str]:
        """Send a signal `delay` seconds after so many iterations; its exit code, stdout and stderr."""
        with self.start() as process:
            said = ""
            for line in process.stdout or []:
                said += line
                seen = points(said)
                if seen and seen[-1] >= seen[0] + after:
                    timer = threading.Timer(delay, process.send_signal, [number])
                    timer.start()
                    timer.join()
                    break
            out, err = process.communicate()
        return process.returncode, said + out, err

    def finish(self) -> str:
        """Run it to its end; what it said."""
        with self.start() as process:
            out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        assert list((self.folder / ".local" / "states").iterdir()) == []
        return out

    def weights(self) -> bytes:
        return (self.folder / "out" / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def whole(lane: Lane) -> bytes:
    """The weights of the command's training, which nobody interrupted."""
    with store(lane.root):
        train(experiment(*LONG).training("meta-sgd", 1), lane.episodes, lane.root / "whole")
    return (lane.root / "whole" / WEIGHTS).read_bytes()


def test_a_signal_keeps_the_state_and_the_same_command_continues(
    lane: Lane, client: MlflowClient, whole: bytes
) -> None:
    """SIGTERM and then Ctrl-C: exit codes as a shell expects them, one line, and one MLflow run for all."""
    command, kept, before = Command(lane), 0, runs(client)
    for number, code, word in ((signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")):
        ended, said, error = command.stop(number, after=200)
        assert ended == code
        assert start_of(said) == kept
        words = re.fullmatch(
            rf"error: sinusoid-5shot meta-sgd seed 1: {word}; the state of iteration (\d+) is kept, "
            r"and the same command continues\n",
            error,
        )
        assert words is not None, error
        assert int(words[1]) > kept
        kept = int(words[1])
    assert start_of(command.finish()) == kept
    assert command.weights() == whole
    assert runs(client) == before + 1
    assert has_the_whole_curve(client, lane)


def has_the_whole_curve(client: MlflowClient, lane: Lane) -> bool:
    """The command's MLflow run is over, and holds every point of the curve once."""
    run = run_of(client, lane.root / "out")
    curve = pd.read_csv(lane.root / "out" / CURVE)
    history = client.get_metric_history(run.info.run_id, "train_loss")
    steps = [metric.step for metric in history]
    return run.info.status == "FINISHED" and steps == curve["iteration"].tolist() and len(curve) == 100


def test_a_killed_training_continues_in_its_run(lane: Lane, client: MlflowClient) -> None:
    """SIGKILL leaves it RUNNING; what it logged after its last state is not logged twice."""
    before = runs(client)
    with Command(lane, writes=30).start() as process:
        process.communicate()
    place = client.search_runs([found.experiment_id for found in client.search_experiments()], max_results=1)
    assert [run.info.status for run in place] == ["RUNNING"]
    Command(lane).finish()
    assert runs(client) == before + 1
    assert has_the_whole_curve(client, lane)


def test_killed_at_any_moment_it_ends_with_the_same_bits(
    lane: Lane, client: MlflowClient, whole: bytes
) -> None:
    """By SIGKILL, in the middle of a write, and then again and again."""
    with Command(lane, writes=30).start() as process:
        said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(list((lane.root / ".local" / "states").glob(".*"))) == 1, "it died in a write"
    command, moments = Command(lane, writes=1_000_000), random.Random(20170731)  # noqa: S311
    reached = points(said)[-1]
    for _ in range(KILLS - 1):
        after, delay = moments.randrange(700), moments.uniform(0, 0.03)
        ended, said, _ = command.stop(signal.SIGKILL, after, delay)
        assert start_of(said) >= reached, "nothing that was shown was lost"
        assert ended in (-signal.SIGKILL, 0)
        if ended == 0:
            assert command.weights() == whole
        # One that came to its end has no state any more.
        reached = max(points(said), default=LAST) % LAST
    assert start_of(command.finish()) >= reached
    assert command.weights() == whole
