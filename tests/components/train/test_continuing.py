"""Interrupted trainings continue, however they ended, with the same bits: the step, and its command."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.artifacts.checkpoint import CURVE
from components.config.code import ROOT
from components.console.signals import Terminated
from components.kinds.table import load_tasks
from components.storage import stores
from components.storage.s3 import S3RefusedError
from components.tracking.outbox import Outbox
from components.train.identity import identity
from components.train.step import train
from metasgd.checkpoint import WEIGHTS
from metasgd.errors import CheckpointError, DivergedError
from tests.components.lane import PARAMS, SINE, TINY, Lane, experiment, run_of, store
from tests.components.storage.kept import always, objects
from tests.s3_server import BUCKET, S3Server, s3_server


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A lane whose Meta-SGD was trained in peace."""
    folder = tmp_path_factory.mktemp("lane")
    with store(folder):
        made = Lane(folder)
        made.train()
        yield made


@pytest.fixture
def client(lane: Lane) -> Iterator[MlflowClient]:
    with store(lane.root) as found:
        yield found


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Trains until this process gets SIGTERM after iteration 15; returns the words that it ends with."""

    def stop(lane: Lane, output: Path, state: Path | None = None) -> str:
        log = Outbox.log_metrics

        def terminate(run: Outbox, values: dict[str, float], step: int = 0) -> None:
            log(run, values, step)
            if step == 15:
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(Outbox, "log_metrics", terminate)
            with pytest.raises(Terminated) as caught:
                train(lane.training(), lane.episodes, output, state)
        assert not output.exists()
        return str(caught.value)

    return stop


def test_parameters_and_data_decide_what_is_continued(lane: Lane) -> None:
    """Another rate, seed or algorithm, or other data: another state."""
    data = load_tasks(lane.episodes)
    manifest = replace(data.episodes.manifest, data="0" * 64)
    other = replace(data, episodes=replace(data.episodes, manifest=manifest))  # type: ignore[type-var]
    training = lane.training()
    faster = experiment("train.rate=0.5").training("meta-sgd", 1)
    found = [
        identity(training, data),
        identity(training, other),
        *(identity(changed, data) for changed in (faster, lane.training(seed=2), lane.training("maml"))),
    ]
    assert len(set(found)) == 5
    assert identity(lane.training(), load_tasks(lane.episodes)) == found[0]


def runs(client: MlflowClient) -> int:
    return len(client.search_runs([found.experiment_id for found in client.search_experiments()]))


KEPT = (
    "sinusoid-5shot meta-sgd seed 1: terminated; "
    "the state of iteration 15 is kept, and the same command continues"
)


def ends_as_the_whole_one(lane: Lane, output: Path, state: Path | None = None) -> None:
    train(lane.training(), lane.episodes, output, state)
    assert (output / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    assert (output / CURVE).read_bytes() == (lane.checkpoint() / CURVE).read_bytes()


def test_a_terminated_step_continues_in_its_run(
    lane: Lane,
    client: MlflowClient,
    tmp_path: Path,
    stopped: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It was KILLED meanwhile; in the end it has the whole curve, once, and says where it was continued."""
    before = runs(client)
    handler = signal.getsignal(signal.SIGTERM)
    assert stopped(lane, tmp_path / "out") == KEPT
    assert signal.getsignal(signal.SIGTERM) is handler
    states_there = sorted((lane.root / ".local" / "states").iterdir())
    assert [re.sub("^[0-9a-f]{64}", "", file.name) for file in states_there] == [
        ".a.safetensors",
        ".b.safetensors",
    ]
    capsys.readouterr()
    ends_as_the_whole_one(lane, tmp_path / "out")
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "sinusoid-5shot meta-sgd seed 1: continues from iteration 15"
    assert len(rest) == 5
    assert list((lane.root / ".local" / "states").iterdir()) == []
    run = run_of(client, tmp_path / "out")
    assert runs(client) == before + 1
    assert run.info.status == "FINISHED"
    assert run.data.tags["continued_from"] == "15"
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [metric.step for metric in history] == list(range(1, 21))
    assert "continued_from" not in run_of(client, lane.checkpoint()).data.tags


def test_another_pod_continues_from_s3(
    lane: Lane,
    client: MlflowClient,
    server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The state was uploaded before the first one ended; of this machine, nothing is needed."""
    server.use(monkeypatch)
    monkeypatch.setenv("METASGD_STATES", f"s3://{BUCKET}/states")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c")
    monkeypatch.setattr(stores, "S3_WRITE", 1e9)
    assert stopped(lane, tmp_path / "out") == KEPT
    assert len(objects(server, "5f2c")) == 1
    shutil.rmtree(lane.root / ".local" / "states")
    ends_as_the_whole_one(lane, tmp_path / "out")
    assert "continues from iteration 15" in capsys.readouterr().out
    assert objects(server, "5f2c") == []


def test_refused_credentials_end_a_training_before_it_starts(
    lane: Lane, client: MlflowClient, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would refuse its state, too; no run is opened."""
    server.use(monkeypatch, AWS_SECRET_ACCESS_KEY="wrong")  # noqa: S106
    monkeypatch.setenv("METASGD_STATES", f"s3://{BUCKET}/states")
    before = runs(client)
    with pytest.raises(S3RefusedError) as caught:
        train(lane.training(), lane.episodes, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert "wrong" not in str(caught.value)
    assert runs(client) == before


def test_a_named_file_wins_over_the_environment(
    lane: Lane,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is the one copy; another training's is refused and left alone; at the end it is gone."""
    monkeypatch.setenv("METASGD_STATES", str(tmp_path / "elsewhere"))
    state = tmp_path / "folder" / "state"
    assert stopped(lane, tmp_path / "out", state) == KEPT
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    content, before = state.read_bytes(), runs(client)
    with pytest.raises(CheckpointError, match=f"^{state}: the state of run .*; expected that of [0-9a-f]+$"):
        train(lane.training(seed=2), lane.episodes, tmp_path / "other", state)
    assert state.read_bytes() == content
    ends_as_the_whole_one(lane, tmp_path / "out", state)
    assert "continues from iteration 15" in capsys.readouterr().out
    assert list(state.parent.iterdir()) == []
    state.write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match=r"not a whole resume file .*; delete it to start anew"):
        train(lane.training(), lane.episodes, tmp_path / "again", state)
    assert runs(client) == before


@pytest.mark.parametrize("error", [ConnectionError, None])
def test_what_fails_is_continued_and_what_diverges_is_over(
    lane: Lane,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception] | None,
) -> None:
    """A tracking server that is gone costs nothing; a rate that is too high would diverge again."""
    monkeypatch.setenv("METASGD_STATES", str(tmp_path))
    training = lane.training() if error else experiment("train.rate=1e30").training("meta-sgd", 1)

    def fails(run: Outbox, values: dict[str, float], step: int = 0) -> None:
        if error and step == 15:
            raise error

    monkeypatch.setattr(Outbox, "log_metrics", fails)
    with pytest.raises(error or DivergedError):
        train(training, lane.episodes, tmp_path / "out")
    assert len(list(tmp_path.glob("*.safetensors"))) == (2 if error else 0)


# ---- The command, interrupted ----

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
                self.command, cwd=self.folder, env=environment, text=True, stdout=pipe, stderr=pipe
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


def test_a_run_that_this_store_does_not_have_is_not_continued(
    lane: Lane, client: MlflowClient, tmp_path: Path, stopped: Callable[..., str]
) -> None:
    """A deleted one neither: the training continues in a run of its own, with the whole curve."""
    stopped(lane, tmp_path / "out")
    (killed,) = client.search_runs(
        [found.experiment_id for found in client.search_experiments()], "attributes.status = 'KILLED'"
    )
    client.delete_run(killed.info.run_id)
    ends_as_the_whole_one(lane, tmp_path / "out")
    run = run_of(client, tmp_path / "out")
    assert run.info.run_id != killed.info.run_id
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [metric.step for metric in history] == list(range(1, 21))


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
