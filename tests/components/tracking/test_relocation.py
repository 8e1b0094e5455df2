"""A project that is moved or copied takes its tracking store along, artifacts and champions included."""

import shutil
from copy import copy
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.tracking.client import connect
from components.tracking.registry import champion, fetch_checkpoint
from components.tracking.runs import open_run
from tests.components.lane import Lane, artifacts, store
from tests.components.promote.contest import BAD, GOOD, Contest, Gate


def moved(lane: Lane, place: Path, client: MlflowClient) -> Contest:
    """Promotions in another place than the lane's."""
    there = copy(lane)
    there.root = place
    return Contest(Gate(there, client), "moved")


@pytest.fixture(scope="module")
def original(lane: Lane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the lane's project with a champion: the one that will be moved and copied."""
    place = tmp_path_factory.mktemp("first") / "my project"
    shutil.copytree(lane.root, place)
    with store(place) as client:
        contest = moved(lane, place, client)
        contest.promote(contest.contender(BAD, seed=1))
    return place


def test_a_copy_has_artifacts_of_its_own(original: Path, tmp_path: Path, lane: Lane) -> None:
    """Read and written beside the copy: the original changes no more, and may be deleted."""
    before = sorted(path for path in original.rglob("*"))
    place = Path(shutil.copytree(original, tmp_path / "copy"))
    with store(place) as client:
        assert champion(client, "moved") == "1"
        fetched = fetch_checkpoint("moved", "1", tmp_path / "fetched")
        with open_run("sinusoid", "in the copy", {}) as run:
            run.log_folder(fetched, "checkpoint")
        assert "checkpoint/weights.safetensors" in artifacts(client, run.run_id)
        assert (place / ".local" / "mlflow-artifacts" / "sinusoid" / run.run_id).is_dir()
    assert sorted(path for path in original.rglob("*")) == before


def test_a_moved_project_promotes_against_its_champion(
    original: Path, tmp_path: Path, lane: Lane, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice, and back: said once each time, and the old place stays empty."""
    for place in (tmp_path / "there", tmp_path / "and back"):
        source = Path(shutil.copytree(original, tmp_path / "source"))
        shutil.move(source, place)
        with store(place) as client:
            connect()
            contest = moved(lane, place, client)
            decision = contest.promote(contest.contender(GOOD, seed=2))
            assert decision.comparisons[0].champion is not None
            assert (decision.champion_before, decision.champion_after) == ("1", "2")
        assert capsys.readouterr().out.count("MLflow: the store was moved from file://") == 1
        assert not source.exists()


def test_a_store_that_was_not_moved_is_left_alone(original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with store(original):
        connect()
    assert "moved" not in capsys.readouterr().out
