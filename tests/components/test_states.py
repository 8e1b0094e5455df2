"""Interrupted trainings continue: wherever the state lies, however they ended, with the same bits."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.s3 import Place, S3RefusedError
from components.train.states import Bucket, Folder, KeptState, Store, default_store
from components.train.step import CURVE
from metasgd.checkpoint import WEIGHTS
from metasgd.errors import InputError
from metasgd.loop import Point, TrainingState
from tests.metasgd.small import same, sine_learner, training_settings
from tests.metasgd.test_training import Interrupted, interrupt, run
from tests.pipelines.checkout import make_checkout
from tests.pipelines.checkout import run as command
from tests.s3_server import BUCKET, S3Server, s3_server


class Kept:
    """A state in a store, with what it said and where it continued from."""

    def __init__(self, store: Store, identity: str = "this run") -> None:
        self.said: list[str] = []
        self.from_iteration: list[int] = []
        self.state = KeptState(store, "name", identity, self._continues, self.said.append)

    def _continues(self, state: TrainingState) -> None:
        self.from_iteration.append(state.iteration)


def always(folder: Path) -> Folder:
    """A store that is written at every point."""
    return Folder(folder, interval=0)


def interrupted(store: Store, after: int) -> Kept:
    """What an interruption after so many points leaves behind."""
    kept = Kept(store)
    with pytest.raises(Interrupted):
        run(sine_learner(), training_settings(), resume=kept.state, watch=interrupt(after))
    kept.state.flush()
    return kept


def finish(store: Store) -> tuple[Kept, list[int]]:
    """The same training again, to its end, which is that of an uninterrupted one."""
    kept, seen = Kept(store), list[Point]()
    ended = run(sine_learner(), training_settings(), resume=kept.state, watch=seen.append)
    whole = run(sine_learner(), training_settings())
    assert same(ended.meta, whole.meta)
    assert ended.curve == whole.curve
    return kept, [point.iteration for point in seen]


def test_a_training_continues_from_its_last_point(tmp_path: Path) -> None:
    """With the bits and the curve of one that was not interrupted, and says from where."""
    interrupted(always(tmp_path), 4)
    kept, seen = finish(always(tmp_path))
    assert kept.from_iteration == [4]
    assert seen[0] == 5
    assert kept.said == []


def test_what_was_not_written_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is written rarely has the last remembered point after an interruption."""
    rare = Folder(tmp_path, interval=1e9)
    kept = Kept(rare)
    monkeypatch.setattr("components.train.states.SNAPSHOT", 0)
    with pytest.raises(Interrupted):
        run(sine_learner(), training_settings(), resume=kept.state, watch=interrupt(4))
    assert list(tmp_path.iterdir()) == []
    kept.state.flush()
    continued, _ = finish(rare)
    assert continued.from_iteration == [4]


@pytest.mark.parametrize("damage", ["truncated", "empty", "a flipped bit"])
def test_a_damaged_copy_is_said_and_the_other_one_taken(tmp_path: Path, damage: str) -> None:
    """The one before, in one line that names the damaged file."""
    interrupted(always(tmp_path), 4)
    newest = max(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    whole = newest.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    newest.write_bytes({"truncated": whole[:-9], "empty": b"", "a flipped bit": bytes(flipped)}[damage])
    kept, _ = finish(always(tmp_path))
    assert kept.from_iteration == [3]
    (line,) = kept.said
    assert line.startswith("warning: ")
    assert str(newest) in line
    assert "\n" not in line


def test_where_both_copies_are_damaged_it_starts_anew(tmp_path: Path) -> None:
    interrupted(always(tmp_path), 4)
    for file in tmp_path.iterdir():
        file.write_bytes(b"nothing")
    kept, seen = finish(always(tmp_path))
    assert kept.from_iteration == []
    assert seen[0] == 1
    assert len(kept.said) == 2


def test_a_foreign_state_is_not_continued(tmp_path: Path) -> None:
    """Said, with both names, and started anew."""
    foreign = Kept(always(tmp_path), "that run")
    run(sine_learner(), training_settings(), resume=foreign.state)
    kept, seen = finish(always(tmp_path))
    assert seen[0] == 1
    assert all("the state of run that run; expected that of this run" in line for line in kept.said)


def test_a_state_is_gone_when_it_is_discarded(tmp_path: Path) -> None:
    interrupted(always(tmp_path), 4).state.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    """And the training goes on."""
    (tmp_path / "file").touch()
    kept = Kept(always(tmp_path / "file" / "folder"))
    run(sine_learner(), training_settings(), resume=kept.state)
    (line,) = kept.said
    assert line.startswith("warning: the state cannot be kept")


# ---- On S3 ----


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_a_state_on_s3_is_continued_and_discarded(server: S3Server) -> None:
    """A retried pod has nothing but the server."""
    with server.client() as client:
        store = Bucket(Place(BUCKET, "states/run-1"), client, interval=0)
        interrupted(store, 4)
        assert len(list(server.folder.rglob("run-1/*.safetensors"))) == 2
        kept, _ = finish(store)
        assert kept.from_iteration == [4]
        kept.state.discard()
        assert list(server.folder.rglob("run-1/*.safetensors")) == []


def test_refused_credentials_end_a_training_before_it_starts(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would refuse its state, too."""
    server.use(monkeypatch, AWS_SECRET_ACCESS_KEY="wrong")  # noqa: S106
    monkeypatch.setenv("METASGD_STATES", f"s3://{BUCKET}/states")
    with pytest.raises(S3RefusedError):
        run(sine_learner(), training_settings(), resume=Kept(default_store()).state)


# ---- Where ----


def test_by_default_states_lie_in_the_checkout() -> None:
    """Whatever the pipeline run: a repeated run is another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METASGD_PIPELINE_RUN", "run-1")
        assert default_store() == Folder(Path(".local") / "states")


def test_a_clusters_states_lie_by_pipeline_run(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the S3 prefix, or on the volume."""
    server.use(monkeypatch)
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "5f2c-1")
    monkeypatch.setenv("METASGD_STATES", "s3://bucket/states")
    store = default_store()
    assert str(store) == "s3://bucket/states/5f2c-1"
    monkeypatch.setenv("METASGD_STATES", "/states")
    assert default_store() == Folder(Path("/states/5f2c-1"))


@pytest.mark.parametrize("name", ["../other", "..", "a/b"])
def test_a_pipeline_run_with_another_place_in_its_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("METASGD_PIPELINE_RUN", name)
    monkeypatch.setenv("METASGD_STATES", "/states")
    with pytest.raises(InputError, match="METASGD_PIPELINE_RUN"):
        default_store()


# ---- The command, interrupted ----

LONG = [
    "--experiment", "sinusoid-5shot", "--algorithm", "meta-sgd", "--episodes", "episodes",
    "--set", "train.iterations=2000", "--set", "train.validate_every=100", "--set", "train.threads=1",
    "--set", "train.compile_from=1000000000", "--set", "network.hidden=[16]",
    "--set", "tasks.stored.validation=5", "--set", "tasks.stored.gate=5", "--set", "tasks.stored.test=5",
]  # fmt: skip
PROGRESS = re.compile(r"\|(\d+)\|2000\|")


class Training:
    """`python -m components.train` in a checkout, and the lines that it prints."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout

    def start(self, output: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-u", "-m", "components.train", *LONG, "--output", output]
        environment = {**os.environ, "PYTHONPATH": str(self.checkout)}
        return subprocess.Popen(
            arguments, cwd=self.checkout, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def interrupt(self, output: str, number: int, iteration: int, delay: float = 0.0) -> tuple[int, str]:
        """Send a signal `delay` seconds after it passed an iteration; its exit code, and what it said."""
        with self.start(output) as process:
            said = []
            for line in process.stdout or []:
                said.append(line)
                found = PROGRESS.search(line)
                if found and int(found[1]) >= iteration:
                    threading.Timer(delay, process.send_signal, [number]).start()
                    break
            said += list(process.stdout or [])
        return process.returncode, "".join(said)

    def finish(self, output: str) -> str:
        """Run it to its end; what it said."""
        with self.start(output) as process:
            said = "".join(process.stdout or [])
        assert process.returncode == 0, said
        return said

    def weights(self, output: str) -> bytes:
        return (self.checkout / output / WEIGHTS).read_bytes()

    def states(self) -> list[Path]:
        return sorted((self.checkout / ".local" / "states").glob("*.safetensors"))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A checkout with episodes, and one training that was left in peace, in `whole`."""
    checkout = make_checkout(tmp_path_factory.mktemp("work") / "checkout")
    settings = [part for pair in zip(LONG[6::2], LONG[7::2], strict=True) for part in pair]
    arguments = ["--experiment", "sinusoid-5shot", *settings, "--output", "episodes"]
    done = command(checkout, "components.preprocess", *arguments)
    assert done.returncode == 0, done.stderr
    made = Training(checkout)
    made.finish("whole")
    return made


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_keeps_the_state_and_the_same_command_continues(
    training: Training, number: int, code: int, word: str
) -> None:
    """Exit code as a shell expects it, the MLflow run KILLED, and then the bits of a whole run."""
    ended, said = training.interrupt(word, number, iteration=900)
    assert ended == code
    assert f"error: {word}" in said
    assert "interrupted; its state is kept, and the same command continues" in said
    assert "Traceback" not in said
    assert training.states()
    continued = re.search(r"continues from iteration (\d+)", training.finish(word))
    assert continued is not None
    assert int(continued[1]) >= 400
    assert training.weights(word) == training.weights("whole")
    assert training.states() == []
    client = MlflowClient(f"sqlite:///{training.checkout}/.local/mlflow.db")
    experiment = client.get_experiment_by_name("sinusoid")
    last, killed, *_ = client.search_runs([experiment.experiment_id])
    assert (last.info.status, killed.info.status) == ("FINISHED", "KILLED")
    history = client.get_metric_history(last.info.run_id, "train_loss")
    curve = pd.read_csv(training.checkout / "whole" / CURVE)
    assert [metric.step for metric in history] == curve["iteration"].tolist()


def test_killed_at_any_moment_it_ends_with_the_same_bits(training: Training) -> None:
    """By SIGKILL, again and again: KILLS times, by default 3; `make test-slow` does it 20 times."""
    kills = int(os.environ.get("KILLS", "3"))
    moments = random.Random(20170731)  # noqa: S311
    for number in range(kills):
        iteration = moments.randrange(20, 1900)
        ended, _ = training.interrupt("killed", signal.SIGKILL, iteration, delay=moments.uniform(0, 0.1))
        assert ended in (-signal.SIGKILL, 0)
        if number % 3 == 2 or ended == 0:
            training.finish("killed")
            assert training.weights("killed") == training.weights("whole")
