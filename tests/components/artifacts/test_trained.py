"""Checkpoints: what train wrote is read back, also what it wrote before the present names and forms."""

import json
import shutil
from pathlib import Path

import pytest

from components.artifacts.checkpoint import load_champion, load_trained
from components.artifacts.results import Result, read_json
from components.artifacts.runs import RUN, RunRecord, write_run
from components.evaluate.step import evaluate
from components.kinds.table import load_tasks
from components.rollout.step import rollout
from metasgd.checkpoint import ABOUT
from metasgd.configuration import TrpoSettings
from metasgd.errors import InputError
from tests.components.lane import store

# Of 2026-11-25, commit dd84e15: parameters as JSON in a string, and TRPO's under names of our own.
EARLIER = Path(__file__).with_name("earlier")
SINE, NAVIGATION = "sinusoid-5shot", "navigation-short"


@pytest.mark.parametrize("name", [SINE, NAVIGATION])
def test_an_earlier_checkpoint_is_read(name: str) -> None:
    """Under the present names, with its run and how long it took."""
    problem = load_tasks(EARLIER / f"{name}-episodes").episodes.manifest.problem
    trained = load_trained(EARLIER / name, problem)
    assert trained.name == "maml-seed1"
    assert trained.about.training.train.iterations == 4
    assert isinstance(trained.run, RunRecord)
    assert trained.run.seconds == json.loads((EARLIER / name / ABOUT).read_text())["about"]["seconds"]
    if isinstance(settings := trained.about.training.train, TrpoSettings):
        assert (settings.max_kl, settings.backtrack_ratio) == (0.2, 0.8)


@pytest.mark.parametrize(("name", "score"), [(SINE, evaluate), (NAVIGATION, rollout)])
def test_an_earlier_checkpoint_is_scored_on_earlier_episodes(name: str, score, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """All the way through the step, figures included."""
    with store(tmp_path):
        score([EARLIER / name], EARLIER / f"{name}-episodes", tmp_path / "results")
    result = read_json(Result, tmp_path / "results" / "maml-seed1.json")
    assert result.tasks == 5
    assert (tmp_path / "results" / "figures" / "maml-seed1" / "learning-curve.svg").exists()


def test_a_record_of_other_weights_is_not_believed(tmp_path: Path) -> None:
    """DVC puts other weights in their place, and leaves the file that it ignores."""
    problem = load_tasks(EARLIER / f"{SINE}-episodes").episodes.manifest.problem
    shutil.copytree(EARLIER / SINE, tmp_path / "checkpoint")
    own = load_trained(tmp_path / "checkpoint", problem).weights
    write_run(tmp_path / "checkpoint" / RUN, RunRecord("a" * 32, 1.0, own))
    assert load_trained(tmp_path / "checkpoint", problem).run == RunRecord("a" * 32, 1.0, own)
    write_run(tmp_path / "checkpoint" / RUN, RunRecord("a" * 32, 1.0, "0" * 64))
    assert load_trained(tmp_path / "checkpoint", problem).run is None


def test_a_champion_may_have_had_other_parameters(tmp_path: Path) -> None:
    """Only what tells it from its siblings has to be known."""
    shutil.copytree(EARLIER / SINE, tmp_path / "champion")
    document = json.loads((tmp_path / "champion" / ABOUT).read_text())
    training = json.loads(document["about"]["training"])
    training["train"] = {"something": "else"}
    document["about"]["training"] = json.dumps(training)
    (tmp_path / "champion" / ABOUT).write_text(json.dumps(document))
    _, _, origin = load_champion(tmp_path / "champion", "champion")
    assert (origin.algorithm, origin.seed) == ("maml", 1)


@pytest.mark.parametrize("training", [None, "", "{", "[]", 5, {}, {"train": 3}])
def test_a_checkpoint_without_a_trainings_parameters_is_refused(tmp_path: Path, training: object) -> None:
    """One line about the folder, whatever stands there."""
    shutil.copytree(EARLIER / SINE, tmp_path / "checkpoint")
    document = json.loads((tmp_path / "checkpoint" / ABOUT).read_text())
    document["about"]["training"] = training
    (tmp_path / "checkpoint" / ABOUT).write_text(json.dumps(document))
    problem = load_tasks(EARLIER / f"{SINE}-episodes").episodes.manifest.problem
    with pytest.raises(InputError, match="checkpoint: holds no training's parameters") as caught:
        load_trained(tmp_path / "checkpoint", problem)
    assert "\n" not in str(caught.value)
