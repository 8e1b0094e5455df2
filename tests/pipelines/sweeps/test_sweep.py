"""A sweep as a user types it, tiny and whole on this machine."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from components.kinds.experiment import load_experiment
from components.tracking.runs import flatten
from metasgd.checkpoint import load_checkpoint
from pipelines.sweeps.space import to_text
from tests.pipelines.checkout import ROOT, make_checkout, run

SINE = "sinusoid-5shot"
STARTS = ("[0.001,0.001]", "[0.03,0.03]", "[1e+30,1e+30]")
SMALL = [
    "train.iterations=4", "train.validate_every=2", "network.hidden=[4]", "tasks.stored.validation=3",
    "tasks.stored.gate=2", "tasks.stored.test=2",
]  # fmt: skip


def sweep(checkout: Path, *starts: str) -> subprocess.CompletedProcess[str]:
    over = f"algorithms.meta-sgd.start={','.join(starts)}"
    return run(checkout, "pipelines.sweeps", "--experiment", SINE, "--over", over, "--set", *SMALL)


@dataclass(frozen=True)
class Finished:
    """Three points, and then two of them again: the first sweep's and the second's output and folder."""

    checkout: Path
    outputs: list[str]

    @property
    def folders(self) -> list[Path]:
        return sorted((self.checkout / ".local" / "runs").iterdir())

    def scores(self) -> dict[str, float]:
        """Start of alpha -> the lowest validation error of its training's curve."""
        found = {}
        for checkpoint in self.folders[0].rglob("train/checkpoint"):
            curve = pd.read_csv(checkpoint / "curve.csv")
            _, _, about = load_checkpoint(checkpoint)
            start = to_text(about["training"]["learner"]["start"])
            if curve["iteration"].max() == 4:
                found[start] = float(curve["validation"].min())
        return found

    def rows(self, place: int) -> tuple[Run, list[Run]]:
        """The parent of a sweep, and the rows of its points."""
        client = MlflowClient(f"sqlite:///{self.checkout}/.local/mlflow.db")
        pipelines = client.get_experiment_by_name("pipelines").experiment_id
        (parent,) = client.search_runs([pipelines], f"tags.pipeline_parent_of = '{self.folders[place].name}'")
        below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.best != ''"
        return parent, list(client.search_runs([pipelines], below))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    checkout = make_checkout(tmp_path_factory.mktemp("work") / "checkout")
    outputs = []
    for starts in (STARTS, STARTS[:2]):
        done = sweep(checkout, *starts)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs.append(done.stdout)
    return Finished(checkout, outputs)


def best_start(finished: Finished) -> str:
    scores = finished.scores()
    assert scores.keys() == set(STARTS[:2])
    return min(scores, key=lambda start: scores[start])


def test_the_best_is_what_the_validation_scores_say(finished: Finished) -> None:
    """The file and what is printed name the start with the lowest error; one that diverged stops nothing."""
    snippet = (finished.folders[0] / "best.yaml").read_text()
    assert snippet in finished.outputs[0]
    assert yaml.safe_load(snippet) == {
        SINE: {"algorithms": {"meta-sgd": {"start": json.loads(best_start(finished))}}}
    }
    assert re.search(r"start=\[1e\+30,1e\+30\] +│ +diverged", finished.outputs[0])
    assert "the sweep goes on" in " ".join(finished.outputs[0].split())


def test_the_snippet_belongs_into_params_yaml(finished: Finished, tmp_path: Path) -> None:
    """Merged into its experiment there, or as overrides, it gives the experiment of the best point."""
    keys = yaml.safe_load((finished.folders[0] / "best.yaml").read_text())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params[SINE] = {**params[SINE], "algorithms": {**params[SINE]["algorithms"], **keys[SINE]["algorithms"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    expected = load_experiment(
        SINE, [f"algorithms.meta-sgd.start={best_start(finished)}"], ROOT / "params.yaml"
    )
    assert load_experiment(SINE, path=tmp_path / "params.yaml") == expected
    overrides = [f"{key}={value}" for key, value in flatten(keys[SINE]).items()]
    assert load_experiment(SINE, overrides, ROOT / "params.yaml") == expected


@pytest.mark.parametrize(("place", "starts"), [(0, STARTS), (1, STARTS[:2])])
def test_points_are_rows_below_one_parent(finished: Finished, place: int, starts: tuple[str, ...]) -> None:
    """Of both sweeps, though the second trained nothing."""
    parent, rows = finished.rows(place)
    assert parent.info.status == "FINISHED"
    scores = finished.scores()
    assert {row.data.params["algorithms.meta-sgd.start"] for row in rows} == set(starts)
    for row in rows:
        start = row.data.params["algorithms.meta-sgd.start"]
        assert row.info.status == "FINISHED"
        assert row.data.metrics.get("validation_mse_chosen") == pytest.approx(scores.get(start))
        assert row.data.tags["best"] == str(start == best_start(finished))


def test_a_repeated_sweep_takes_the_trainings_that_are_finished(finished: Finished) -> None:
    """It draws the tasks and chooses; no checkpoint is written anew."""
    assert f"{SINE}: train: finished by an earlier run" in finished.outputs[1]
    assert list(finished.folders[1].rglob("train/checkpoint")) == []
    first, second = (yaml.safe_load((folder / "best.yaml").read_text()) for folder in finished.folders)
    assert first == second


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["pipelines.sweeps"], "EXPERIMENT is missing; expected one, as in EXPERIMENT=sinusoid-5shot"),
        (["pipelines.sweeps", "--experiment", SINE], "OVER is missing; expected KEY=VALUE,VALUE"),
        (
            ["pipelines.sweeps", "--experiment", SINE, "--over", "train.rate=1,2", "--trials", "few"],
            "TRIALS is 'few'; expected a number of points, as TRIALS=20",
        ),
        (
            ["pipelines.tune", "--experiments", SINE],
            'RATES is missing; expected rates, as in RATES="0.01 0.03"',
        ),
        (
            ["pipelines.tune", "--experiments", SINE, "--algorithm", "prototypes", "--rates", "0.1"],
            "OVER: algorithm 'prototypes' is unknown; expected one of meta-sgd, maml",
        ),
        (
            [
                "pipelines.tune",
                "--experiments",
                "glyphs-5way-1shot",
                "--algorithm",
                "siamese",
                "--rates",
                "0.1",
            ],
            "OVER: 'algorithms.siamese.start=[0.1,0.1]'.algorithms.siamese: key 'start' is unknown",
        ),
    ],
)
def test_what_is_asked_for_wrongly_is_one_line_at_once(
    tmp_path: Path, command: list[str], expected: str
) -> None:
    """Exit code 2, and nothing is written."""
    checkout = make_checkout(tmp_path / "checkout")
    done = run(checkout, *command)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: {expected}")
    assert not (checkout / ".local").exists()
