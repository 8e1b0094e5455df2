"""Interrupted trainings continue, however they ended, with the same bits: the step."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.console.signals import Terminated
from components.kinds.table import load_tasks
from components.storage import stores
from components.storage.s3 import S3RefusedError
from components.tracking.outbox import Outbox
from components.train.identity import identity
from components.train.step import train
from metasgd.errors import CheckpointError, DivergedError
from tests.components.lane import Lane, experiment, run_of
from tests.components.storage.kept import always, objects
from tests.components.train.continued import ends_as_the_whole_one, runs
from tests.s3_server import BUCKET, S3Server, s3_server


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


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


KEPT = (
    "sinusoid-5shot meta-sgd seed 1: terminated; "
    "the state of iteration 15 is kept, and the same command continues"
)


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
    assert rest[0].startswith("sinusoid-5shot meta-sgd seed 1: 16 of 20, ")
    assert rest[-1].startswith("sinusoid-5shot meta-sgd seed 1: 20 of 20, ")
    assert list((lane.root / ".local" / "states").iterdir()) == []
    run = run_of(client, tmp_path / "out")
    assert runs(client) == before + 1
    assert run.info.status == "FINISHED"
    assert run.data.tags["continued_from"] == "15"
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [metric.step for metric in history] == list(range(1, 21))
    assert "continued_from" not in run_of(client, lane.checkpoint()).data.tags


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
