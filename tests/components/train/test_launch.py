"""Several processes share a meta-batch: the result of one, and its errors."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from components.artifacts.checkpoint import CURVE
from components.artifacts.runs import RUN
from components.console.command import TERMINATED
from components.console.progress import PROGRESS, READ
from components.train.launch import processes
from components.train.step import train
from metasgd.checkpoint import ABOUT, WEIGHTS, load_checkpoint
from metasgd.errors import InputError
from metasgd.own_folder import MARK
from tests.components.lane import PARAMS, TINY, Lane, experiment, store
from tests.metasgd.small import training_settings, trpo_settings

SHARED = ("train.meta_batch=4", "train.chunk=2", "train.schedule=cosine", "train.clip=1.0")


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A lane whose Meta-SGD is trained by one process."""
    folder = tmp_path_factory.mktemp("launch")
    with store(folder):
        made = Lane(folder, *SHARED)
        made.train()
        yield made


@pytest.fixture(autouse=True)
def current(lane: Lane) -> Iterator[None]:
    with store(lane.root):
        yield


def assert_close(checkpoint: Path, other: Path) -> None:
    """Equal to rounding in all that was learned; a last bit may widen over 20 steps of Adam."""
    one, two = (load_checkpoint(place)[1] for place in (checkpoint, other))
    for mine, theirs in zip(one, two, strict=True):
        torch.testing.assert_close(dict(mine), dict(theirs), rtol=1e-4, atol=1e-6)


def command(lane: Lane, output: Path, *overrides: str) -> list[str]:
    """The step, as a user types it."""
    settings = [word for text in (*TINY, *SHARED, *overrides) for word in ("--set", text)]
    step = ["-m", "components.train", "--experiment", "sinusoid-5shot", "--algorithm", "meta-sgd"]
    places = ["--params", str(PARAMS), "--episodes", str(lane.episodes), "--output", str(output)]
    return [*step, *places, *settings]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PARAMS.parent), "OMP_NUM_THREADS": "1"}


def test_train_starts_the_processes_itself(lane: Lane, capfd: pytest.CaptureFixture[str]) -> None:
    """train.processes=2 ends where one process does, to rounding, and writes one checkpoint and one curve."""
    output = lane.root / "checkpoints" / "two"
    train(experiment(*SHARED, "train.processes=2").training("meta-sgd", 1), lane.episodes, output)
    assert {path.name for path in output.iterdir()} == {MARK, WEIGHTS, ABOUT, CURVE, RUN}
    assert_close(output, lane.checkpoint())
    assert capfd.readouterr().out.count("20 of 20") == 1, "one process alone shows progress"


def test_torchrun_gives_the_result_of_one_process(lane: Lane) -> None:
    """Two processes of two tasks each, started as a user does."""
    output = lane.root / "checkpoints" / "torchrun"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*torchrun, *command(lane, output)], env=environment(), check=True, capture_output=True)
    assert_close(output, lane.checkpoint())


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Until SIGTERM, which is handed to all processes, has ended it."""
    with subprocess.Popen(
        words,
        env={**environment(), PROGRESS: READ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_processes_continue_from_the_state_of_one(lane: Lane) -> None:
    """The one that leads keeps the state, and tells the others where to continue."""
    output, state = lane.root / "checkpoints" / "stopped", lane.root / "state"
    endless = ("train.processes=2", "train.iterations=1000000", "train.validate_every=10")
    words = [sys.executable, *command(lane, output, *endless), "--state", str(state)]
    with started(words) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "::progress::" in line)
        process.terminate()
        said = process.stdout.read()
    assert process.returncode == TERMINATED
    assert "Traceback" not in said
    kept = re.search(r"the state of iteration (\d+) is kept, and the same command continues", said)
    assert kept, said
    with started(words) as process:
        assert process.stdout is not None
        assert any(f"continues from iteration {kept[1]}" in line for line in process.stdout)
        first = next(line for line in process.stdout if "::progress::" in line)
    assert int(first.split("|")[1]) > int(kept[1])


def test_an_error_of_the_one_that_leads_is_told_in_one_line(lane: Lane) -> None:
    """Divergence in both processes is the error of the training."""
    training = experiment(*SHARED, "train.processes=2", "train.rate=1e30", "train.clip=0.0")
    with pytest.raises(InputError, match=r"meta-loss is \w+ at iteration") as caught:
        train(training.training("meta-sgd", 1), lane.episodes, lane.root / "checkpoints" / "broken")
    assert "\n" not in str(caught.value)


def test_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was declared; or the most GPUs that divide the meta-batch; never more from within one."""
    assert processes(training_settings(processes=3)) == 3
    assert processes(training_settings(processes=0)) == 1
    assert processes(trpo_settings()) == 1
    with pytest.raises(InputError, match=r"train\.device is 'cuda', and torch finds no GPU here; expected"):
        processes(training_settings(processes=0, device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert processes(training_settings(processes=0, device="cuda", meta_batch=6)) == 3
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "metasgd")
    assert processes(training_settings(processes=3)) == 1
