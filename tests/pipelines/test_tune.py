"""Tuning: overrides reach every part of it, and the best rate is written down."""

import json
from pathlib import Path

import pytest

from components.artifacts.episodes import read_episodes
from components.kinds.experiment import load_experiment
from components.train import tuning
from metasgd.errors import InputError
from pipelines import tune
from tests.components.lane import PARAMS, SINE

SMALL = (
    "train.iterations=4", "train.validate_every=2", "network.hidden=[4]", "tasks.stored.validation=3",
    "tasks.stored.gate=2", "tasks.stored.test=2",
)  # fmt: skip


def test_overrides_reach_preprocessing_and_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored tasks and iterations are those that were asked for; the record names the best rate."""
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    monkeypatch.chdir(tmp_path)
    command = ["tune", "--experiments", SINE, "--set", *SMALL, "--rates", "0.001", "0.01"]
    monkeypatch.setattr("sys.argv", command)
    tune.main()
    episodes = read_episodes(tmp_path / "artifacts" / "tune" / SINE / "episodes")
    assert len(episodes.stored["validation"]["curves"]) == 3
    record = json.loads((tmp_path / "artifacts" / "tune" / SINE / "maml-seed1.json").read_text())
    assert record["best"] == min((0.001, 0.01), key=lambda rate: record["scores"][str(rate)])
    assert "4 of 4" in capsys.readouterr().out


def test_a_learner_without_an_inner_rate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = load_experiment("glyphs-5way-1shot", path=PARAMS)
    training = experiment.training("prototypes", seed=1)
    with pytest.raises(InputError, match="prototypes has no inner rate; expected kind gradient"):
        tuning.tune(training, [0.1], tmp_path / "episodes")
