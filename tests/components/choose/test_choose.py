"""The choose step: points of a sweep, ranked by their scores on the validation tasks alone."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from components.artifacts.checkpoint import CURVE
from components.artifacts.choice import BEST, Ranked, Trial, Trials, fingerprint, point_name, read_choice
from components.choose.snippet import markdown
from components.choose.step import Measured, choose, ranked
from components.config.document import nested
from components.config.settings import Training
from components.preprocess.step import preprocess
from components.tracking.client import PIPELINES
from components.tracking.pages import pages
from components.tracking.parents import TAG
from components.tracking.runs import flatten, open_run
from components.train.step import train
from metasgd.errors import InputError
from tests.components.lane import SINE, Lane, experiment, run_of, store

STARTS = ("[0.001,0.001]", "[0.01,0.01]", "[1e+30,1e+30]")
SEEDS = (1, 2)


def trial(name: str, *seeds: int) -> Trial:
    return Trial([f"train.rate={name}"], {f"{name}/{seed}": seed for seed in seeds})


def test_the_mean_over_seeds_decides_and_what_diverged_comes_last() -> None:
    """a: 1 and 3, mean 2 ± 12.7062 sqrt(2) / sqrt(2) by Student's t with one degree of freedom."""
    scores = {"a/1": 1.0, "a/2": 3.0, "b/1": 1.5, "b/2": 1.7, "c/1": 0.1, "c/2": None}
    measured = {name: Measured(score, None) for name, score in scores.items()}
    trials = [trial(name, 1, 2) for name in "cab"]
    found = ranked(trials, measured, higher_is_better=False)
    assert [point.name for point in found] == ["train.rate=b", "train.rate=a", "train.rate=c"]
    assert [point.mean for point in found] == [pytest.approx(1.6), 2.0, None]
    assert found[1].half_width == pytest.approx(12.7062, rel=1e-5)
    assert found[2] == Ranked(["train.rate=c"], {1: 0.1, 2: None}, None, None)
    upwards = ranked(trials, measured, higher_is_better=True)
    assert [point.name[-1] for point in upwards] == ["a", "b", "c"]


def test_one_seed_has_no_interval() -> None:
    (point,) = ranked([trial("a", 7)], {"a/7": Measured(2.0, None)}, higher_is_better=False)
    assert point == Ranked(["train.rate=a"], {7: 2.0}, 2.0, None)


def test_long_points_keep_names_of_their_own() -> None:
    overrides = [f"network.key{number}=1" for number in range(20)]
    names = {point_name([*overrides, f"train.rate={rate}"]) for rate in (1, 2)}
    assert len(names) == 2
    assert all(len(name) == 100 for name in names)


class Swept:
    """Three starts of alpha, the last of which diverges, with two seeds each; on the tiny lane's tasks."""

    def __init__(self, lane: Lane, root: Path) -> None:
        self.root, self.episodes = root, lane.episodes
        overrides = [f"algorithms.meta-sgd.start={start}" for start in STARTS]
        self.trainings = {
            one: [experiment(one).training("meta-sgd", seed) for seed in SEEDS] for one in overrides
        }
        trials = [
            Trial([one], {fingerprint(t): t.seed for t in made}) for one, made in self.trainings.items()
        ]
        self.trials = Trials(SINE, "meta-sgd", [], trials)
        for override, made in self.trainings.items():
            for training in made:
                train(training, self.episodes, self.checkpoint(training), point=override)

    def checkpoint(self, training: Training) -> Path:
        return self.root / fingerprint(training)

    @property
    def checkpoints(self) -> list[Path]:
        """In no order."""
        return sorted(self.checkpoint(training) for made in self.trainings.values() for training in made)

    def validation(self, override: str) -> list[float]:
        """By the curves of the trainings: the lowest error of each."""
        curves = [pd.read_csv(self.checkpoint(training) / CURVE) for training in self.trainings[override]]
        return [float(curve["validation"].min()) for curve in curves]


@pytest.fixture(scope="module")
def swept(lane: Lane, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    root = tmp_path_factory.mktemp("choose")
    with store(root):
        return Swept(lane, root)


@pytest.fixture
def client(swept: Swept) -> Iterator[MlflowClient]:
    with store(swept.root) as found:
        yield found


def test_the_best_is_what_the_curves_say(swept: Swept, client: MlflowClient, tmp_path: Path) -> None:
    """Each seed's score is that of the checkpoint its training kept; the file says what the step returns."""
    choice = choose(swept.trials, swept.checkpoints, swept.episodes, tmp_path / "choice")
    first, second, third = swept.trainings
    expected = {one: swept.validation(one) for one in (first, second)}
    for point in choice.ranking[:2]:
        assert list(point.scores.values()) == pytest.approx(expected[point.overrides[0]])
    means = {one: sum(scores) / 2 for one, scores in expected.items()}
    assert choice.best.overrides == [min(means, key=lambda one: means[one])]
    assert choice.ranking[2].overrides == [third]
    assert choice.ranking[2].mean is None
    assert read_choice(tmp_path / "choice") == choice
    assert markdown(choice).splitlines()[-1] == f"| `{third}` | diverged | diverged | diverged |"


def test_the_snippet_gives_the_best_experiment(swept: Swept, client: MlflowClient, tmp_path: Path) -> None:
    """As overrides, its keys make the experiment of the best point."""
    choice = choose(swept.trials, swept.checkpoints, swept.episodes, tmp_path / "choice")
    keys = flatten(yaml.safe_load((tmp_path / "choice" / BEST).read_text())[SINE])
    assert experiment(*(f"{key}={value}" for key, value in keys.items())) == experiment(
        *choice.best.overrides
    )
    assert nested(choice.best.overrides)["algorithms"].keys() == {"meta-sgd"}


def test_gate_and_test_tasks_play_no_part(swept: Swept, client: MlflowClient, tmp_path: Path) -> None:
    """Other ones, the same validation tasks: the same ranking to the last bit."""
    others = experiment("tasks.stored.gate=40", "tasks.stored.test=3")
    preprocess(others.tasks, tmp_path / "episodes")
    ours = choose(swept.trials, swept.checkpoints, swept.episodes, tmp_path / "ours")
    theirs = choose(swept.trials, swept.checkpoints, tmp_path / "episodes", tmp_path / "theirs")
    assert ours == theirs


def test_every_point_is_a_row_below_the_pipelines_run(
    swept: Swept, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The point alone as parameters, the score as metric; the parent keeps ranking and snippet."""
    with open_run(PIPELINES, "sweep", {TAG: "now", "experiments": SINE}) as parent:
        monkeypatch.setenv("METASGD_PARENT_RUN_ID", parent.run_id)
        choice = choose(swept.trials, swept.checkpoints, swept.episodes, tmp_path / "choice")
    place = client.get_experiment_by_name(PIPELINES).experiment_id
    rows = client.search_runs([place], f"tags.`mlflow.parentRunId` = '{parent.run_id}'")
    found = {row.data.params["algorithms.meta-sgd.start"]: row for row in rows}
    assert found.keys() == set(STARTS)
    assert all(row.data.params.keys() == {"algorithms.meta-sgd.start"} for row in rows)
    best = found[choice.best.overrides[0].partition("=")[2]]
    assert best.data.metrics["validation_mse_chosen"] == choice.best.mean
    assert best.data.metrics["validation_mse_chosen_seed2"] == choice.best.scores[2]
    assert [row.data.tags["best"] for row in rows].count("True") == 1
    assert best.data.tags["best"] == "True"
    assert found[STARTS[2]].data.tags["diverged"] == "1 2"
    assert "validation_mse_chosen" not in found[STARTS[2]].data.metrics
    (override,) = choice.best.overrides
    trained = [run_of(client, swept.checkpoint(one)).info.run_id for one in swept.trainings[override]]
    assert best.data.tags["training_run"].split() == trained
    assert {file.path for file in client.list_artifacts(parent.run_id, "sweep")} >= {f"sweep/{BEST}"}
    assert client.get_run(parent.run_id).data.tags["mlflow.note.content"] == markdown(choice)
    compared = pages(client, "http://127.0.0.1:1")["its trainings, compared"]
    assert {row.info.run_id for row in rows} == set(re.findall(r"[0-9a-f]{32}", unquote(compared))), (
        "make ui's address"
    )


def test_what_is_missing_or_all_diverged_is_one_line(
    swept: Swept, client: MlflowClient, tmp_path: Path
) -> None:
    """And nothing is written."""
    *_, diverged = swept.trials.trials
    checkpoints = [swept.checkpoint(training) for training in list(swept.trainings.values())[2]]
    with pytest.raises(InputError, match="no checkpoint; expected one of every training"):
        choose(swept.trials, checkpoints, swept.episodes, tmp_path / "choice")
    alone = Trials(SINE, "meta-sgd", [], [diverged])
    with pytest.raises(InputError, match="all 1 points diverged; expected smaller rates"):
        choose(alone, checkpoints, swept.episodes, tmp_path / "choice")
    assert not (tmp_path / "choice").exists()
