"""Trainings on a machine with a GPU: the train step's, in as many calls as they take, and published here."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu import train as command
from benchmarks.gpu.adopt import take
from benchmarks.gpu.pack import pack
from benchmarks.gpu.prepared import CHOSEN, read_job
from components.train.step import train
from metasgd.checkpoint import WEIGHTS, load_checkpoint
from metasgd.errors import CheckpointError, InputError
from pipelines.publishing.publication import publish
from pipelines.publishing.record import read_record
from pipelines.publishing.trainings import drawn
from tests.benchmarks.gpu.conftest import PICTURES, Tiny
from tests.components.kinds.loading import load
from tests.components.lane import store


def run(monkeypatch: pytest.MonkeyPatch, prepared: Path, output: Path, *options: str) -> Path:
    """As a user types it; returns where the checkpoint lies, or will lie."""
    name = next(place.name for place in prepared.iterdir())
    words = [
        "train",
        name,
        "--prepared",
        prepared,
        "--state",
        output / "states",
        "--out",
        output,
        "--device",
        "cpu",
    ]
    monkeypatch.setattr("sys.argv", [str(word) for word in (*words, *options)])
    command.main()
    return output / f"{name}-meta-sgd-seed1"


def test_a_training_is_the_train_steps(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights and learning curve to the last byte, trained with more ways than the experiment's."""
    training = load(*tiny.overrides, "train.device=cpu", name=PICTURES).training("meta-sgd", 1)
    episodes = drawn(load(*tiny.overrides, name=PICTURES).tasks, tiny.kept)
    with store(tmp_path):
        train(training, episodes, tmp_path / "step")
    found = run(monkeypatch, tiny.folder, tmp_path)
    for file in (WEIGHTS, command.CURVE):
        assert (found / file).read_bytes() == (tmp_path / "step" / file).read_bytes()


def test_a_policy_is_the_train_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = (
        "tasks.stored.validation=3", "tasks.stored.gate=3", "tasks.stored.test=3",
        "tasks.distribution.shots=3",
        "tasks.distribution.queries=3", "tasks.distribution.horizon=5", "tasks.stored.test_queries=3",
        "network.hidden=[4]", "train.iterations=2", "train.validate_every=1", "train.meta_batch=2",
        "train.fisher_trajectories=2", "compare=[meta-sgd]",
    )  # fmt: skip
    pack("navigation-short", few, tmp_path / "prepared", tmp_path / "kept")
    experiment = load(*few, "train.device=cpu", name="navigation-short")
    with store(tmp_path):
        train(
            experiment.training("meta-sgd", 1), drawn(experiment.tasks, tmp_path / "kept"), tmp_path / "step"
        )
    found = run(monkeypatch, tmp_path / "prepared", tmp_path)
    for file in (WEIGHTS, command.CURVE):
        assert (found / file).read_bytes() == (tmp_path / "step" / file).read_bytes()


def test_calls_that_end_early_continue_to_the_same_bits(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any time, every call goes one point of the curve further."""
    whole = run(monkeypatch, tiny.folder, tmp_path / "whole")
    for iteration in range(1, 6):
        part = run(monkeypatch, tiny.folder, tmp_path / "parts", "--minutes", "0")
        assert f"iteration {iteration} of 6; the same command continues" in capsys.readouterr().out
        assert not part.exists()
    run(monkeypatch, tiny.folder, tmp_path / "parts", "--minutes", "0")
    for file in (WEIGHTS, command.CURVE):
        assert (part / file).read_bytes() == (whole / file).read_bytes()


def test_a_training_is_published_by_the_ordinary_code(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publication takes the adopted checkpoint for one of its own: it trains nothing, and scores it."""
    found, kept = run(monkeypatch, tiny.folder, tmp_path), tiny.kept
    place, publication = take(found, kept)
    assert publication.startswith(f"make publish EXPERIMENTS={PICTURES} SEEDS=1 SET='tasks.source.path=")
    monkeypatch.setattr("pipelines.publishing.trainings.train", lambda *_: pytest.fail("trained again"))
    with store(tmp_path):
        (path,) = publish(
            load(*tiny.overrides, name=PICTURES), [1], publication, "c0ffee", root=tmp_path, kept=kept
        )
    record = read_record(path)
    assert record.seconds[0] is not None
    assert load_checkpoint(place)[2]["device"] == "cpu"
    learned = load_checkpoint(tmp_path / "models" / PICTURES / "meta-sgd-seed1")[1].theta
    assert all(torch.equal(learned[name], value) for name, value in load_checkpoint(found)[1].theta.items())


def test_a_trial_is_shorter(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so, so that nobody publishes it for the whole."""
    found = run(monkeypatch, tiny.folder, tmp_path, "--iterations", "2")
    assert load_checkpoint(found)[2]["training"]["train"]["iterations"] == 2


def test_the_state_of_another_training_is_refused(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, tiny.folder, tmp_path, "--minutes", "0")
    with pytest.raises(CheckpointError, match=r"the state of run \w+; expected that of"):
        run(monkeypatch, tiny.folder, tmp_path, "--iterations", "9")


def test_what_is_not_prepared_is_refused(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"is not prepared; expected a folder of python -m benchmarks\.gpu\.pack"
    ):
        read_job(tmp_path, "meta-sgd", 1)
    with pytest.raises(InputError, match="algorithm 'maml' is not prepared; expected one of meta-sgd"):
        read_job(tiny.folder / PICTURES, "maml", 1)
    text = (tiny.folder / PICTURES / CHOSEN).read_text()
    (tmp_path / CHOSEN).write_text(text.replace('"digest": "', '"digest": "0'))
    with pytest.raises(InputError, match="was prepared by other code"):
        read_job(tmp_path, "meta-sgd", 1)


def test_trainings_of_other_code_are_not_adopted(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(monkeypatch, tiny.folder, tmp_path)
    (found / ".written.json").unlink()
    origin = found / command.ORIGIN
    origin.write_text(origin.read_text().replace('"code": "', '"code": "0'))
    with pytest.raises(InputError, match="was trained by other code"):
        take(found, tiny.kept)
    with pytest.raises(InputError, match=r"expected what benchmarks\.gpu\.train wrote"):
        take(tmp_path, tiny.kept)
