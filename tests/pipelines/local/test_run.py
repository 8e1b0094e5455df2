"""The main job, tiny and whole: curves, a user's pictures, navigation; from an awkward path."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image
from safetensors.numpy import load_file

from tests.components.lane import artifacts
from tests.pipelines.checkout import ROOT, make_checkout, overrides, run

SMALL = [
    "train.iterations=4",
    "train.validate_every=2",
    "train.threads=1",
    "tasks.stored.validation=3",
    "tasks.stored.gate=20",
    "tasks.stored.test=6",
    "tasks.stored.test_queries=4",
]
# A champion has to gain by its step: a rate at which networks that have hardly been trained do.
CURVES = [
    "sinusoid-5shot.algorithms.meta-sgd.start=[0.001,0.001]",
    "sinusoid-5shot.train.alpha_rate=0.01",
]
PICTURES = [
    "glyphs-5way-1shot.tasks.source.name=folder",
    "glyphs-5way-1shot.tasks.source.size=16",
    "glyphs-5way-1shot.tasks.source.split=[0.4,0.3,0.3]",
    "glyphs-5way-1shot.tasks.distribution.ways=2",
    "glyphs-5way-1shot.train.meta_batch=2",
    "glyphs-5way-1shot.network.filters=4",
]
POLICIES = [
    "navigation-short.tasks.distribution.horizon=10",
    "navigation-short.tasks.stored.test_shots=[3]",
    "navigation-short.network.hidden=[4]",
    "navigation-short.train.meta_batch=2",
    "navigation-short.algorithms.meta-sgd.start=[1.0,1.0]",
]
LANES = ("sinusoid-5shot", "glyphs-5way-1shot", "navigation-short")
KINDS = ("sinusoid", "images", "control")


@dataclass(frozen=True)
class Finished:
    """A finished run: where, and what it printed."""

    checkout: Path
    output: str
    folder: Path

    def checkpoint(self, lane: int, training: int) -> Path:
        task = "train" if lane == 0 else f"train-{lane + 1}"
        return sorted(self.folder.rglob(f"{task}/checkpoint"))[training]


def draw_pictures(folder: Path) -> None:
    """Ten classes of eight noisy pictures."""
    generator = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class{label}").mkdir(parents=True)
        base = generator.integers(0, 255, (16, 16))
        for number in range(8):
            noisy = np.clip(base + generator.integers(-20, 20, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"class{label}" / f"{number}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of all lanes, from a path with spaces and the text python3."""
    checkout = make_checkout(tmp_path_factory.mktemp("work") / "my python3 checkout")
    draw_pictures(checkout / "pictures")
    settings = [*SMALL, *CURVES, *PICTURES, *POLICIES, "glyphs-5way-1shot.tasks.source.path=pictures"]
    done = run(checkout, "pipelines", "--experiments", *LANES, "--set", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (checkout / ".local" / "runs").iterdir()
    return Finished(checkout, done.stdout, folder)


def test_the_table_names_every_lane_and_algorithm(finished: Finished) -> None:
    """Experiment, algorithm, tasks, version and champion stand in the table, the report's place below."""
    for text in (*LANES, "meta-sgd", "maml", "★", "report.html", "make ui"):
        assert text in finished.output
    assert (finished.folder / "report.html").read_text().count("<h2") >= len(LANES)


def test_every_training_is_a_run_under_one_parent_with_everything(finished: Finished) -> None:
    """Two trainings per lane and their parent, ended well; one row holds parameters, scores and tags."""
    client = MlflowClient(f"sqlite:///{finished.checkout}/.local/mlflow.db")
    experiments = {found.name: found.experiment_id for found in client.search_experiments()}
    runs = client.search_runs([experiments["pipelines"]])
    assert not set(KINDS) & experiments.keys(), "the UI shows children below their parent in its experiment"
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run != parent]
    assert len(children) == 2 * len(LANES)
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert {"experiment", "algorithm", "seed", "data", "task_set"} <= child.data.tags.keys()
        assert child.data.params["train.iterations"] == "4"
        assert any(name.startswith("test_") and name.endswith("_ci95") for name in child.data.metrics)
        (model,) = child.outputs.model_outputs
        assert client.get_logged_model(model.model_id).source_run_id == child.info.run_id
        assert child.data.tags["started_by"] == "pipeline"
        assert child.data.tags["mlflow.source.name"] == "make pipeline-run"
    assert parent.info.status == "FINISHED"
    assert parent.data.params["seeds"] == "1"
    assert parent.data.params["experiments"] == " ".join(LANES)
    assert parent.data.params["sinusoid-5shot.train.iterations"] == "4"
    assert parent.data.tags["mlflow.note.content"].count("| meta-sgd |") == len(LANES)
    assert "report/report.html" in artifacts(client, parent.info.run_id)


def test_every_model_is_registered_and_one_is_champion(finished: Finished) -> None:
    """A model per experiment, a version per training, an alias on one of them."""
    client = MlflowClient(f"sqlite:///{finished.checkout}/.local/mlflow.db")
    for name in LANES:
        assert len(client.search_model_versions(f"name='{name}'")) == 2
        assert str(client.get_model_version_by_alias(name, "champion").version) in ("1", "2")


def test_the_python_of_serving_runs_as_printed(finished: Finished) -> None:
    """With no environment variable set, and nothing is left beside it."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/serving.md").read_text(), re.DOTALL)
    (finished.checkout / "snippet.py").write_text(f"{code}\nassert probabilities.shape == (len(classes), 2)")
    before = set(finished.checkout.iterdir())
    done = run(finished.checkout, "snippet")
    assert done.returncode == 0, done.stderr
    assert set(finished.checkout.iterdir()) - before <= {finished.checkout / "__pycache__"}


def test_the_champion_predicts_a_folder(finished: Finished) -> None:
    """Three classes, though it was trained with two: the classes of the pictures themselves come out."""
    for name in ("class0", "class1", "class2"):
        shutil.copytree(finished.checkout / "pictures" / name, finished.checkout / "mine" / name)
    done = run(
        finished.checkout, "components.serving.predict", LANES[1], "--support", "mine",
        "--queries", "mine/class1", "--output", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(finished.checkout / "out" / "predictions.csv")
    assert len(table) == 8
    assert set(table["class"]) <= {"class0", "class1", "class2"}
    assert (finished.checkout / "out" / "predictions.html").exists()


@pytest.mark.parametrize("lane", range(len(LANES)))
def test_commands_give_the_bits_of_the_pipeline(finished: Finished, lane: int, tmp_path: Path) -> None:
    """DVC's commands and the local runner call one step function: theta and alpha are bitwise equal."""
    settings = [*SMALL, *CURVES, *PICTURES, *POLICIES, "glyphs-5way-1shot.tasks.source.path=pictures"]
    chosen = overrides(settings, LANES, lane)
    episodes, output = tmp_path / "episodes", tmp_path / "checkpoint"
    common = ["--experiment", LANES[lane], *chosen]
    first = run(finished.checkout, "components.preprocess", *common, "--output", str(episodes))
    assert first.returncode == 0, first.stderr
    arguments = ["--algorithm", "meta-sgd", "--episodes", str(episodes), "--output", str(output)]
    second = run(finished.checkout, "components.train", *common, *arguments)
    assert second.returncode == 0, second.stderr
    ours = load_file(output / "weights.safetensors")
    theirs = load_file(finished.checkpoint(lane, 0) / "weights.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.tobytes() == theirs[name].tobytes(), name


def test_a_failed_step_is_one_line_and_a_log(tmp_path: Path) -> None:
    """Missing archives: exit code 2, the file by name, no traceback, the log's place."""
    checkout = make_checkout(tmp_path / "checkout")
    done = run(checkout, "pipelines", "--experiments", "omniglot-5way-1shot")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert "images_background.zip" in line
    assert "run.log" in line
    (log,) = (checkout / ".local" / "runs").glob("*/run.log")
    assert "Traceback" in log.read_text()
    client = MlflowClient(f"sqlite:///{checkout}/.local/mlflow.db")
    (parent,) = client.search_runs([client.get_experiment_by_name("pipelines").experiment_id])
    assert parent.info.status == "FAILED"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--experiments", "sinusoid-6shot"], "sinusoid-10shot-paper"),
        (["--set", "train.iteration=3"], "iterations"),
        (["--set", "train.iterations=many"], "integer"),
        (["--experiments", "sinusoid-5shot", "sinusoid-5shot"], "once"),
        (["--set", "sinusoid-10shot-paper.trian.rate=1"], "sinusoid-10shot-paper is not run"),
        (["--set", "defaults.typo.x=1"], "is for no experiment"),
        (["--set", "kubeflow.gpu.cuont=0"], "'cuont' is unknown; expected one of type, count"),
        (["--set", "run.seeds=7"], "seeds"),
        (["--experiments", "omniglot-5way-1shot", "--set", "tasks.source.path=a/python3"], "python3"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_before_anything_runs(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    """Unknown names and keys list the known ones; nothing is written."""
    checkout = make_checkout(tmp_path / "checkout")
    done = run(checkout, "pipelines", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert expected in line
    assert not (checkout / ".local").exists()


def test_the_summary_says_what_the_results_say(finished: Finished) -> None:
    """Every row's numbers are those that its lane's evaluation wrote."""
    (path,) = finished.folder.glob("*/report-3/chapters/summary.json")
    found = [json.loads(path.read_text()) for path in finished.folder.rglob("results/*-seed1.json")]
    results = {(result["experiment"], result["algorithm"]): result for result in found}
    summary = json.loads(path.read_text())
    assert len(summary) == len(results) == 2 * len(LANES)
    for row in summary:
        steps = results[row["experiment"], row["algorithm"]]["steps"]
        assert row["before"]["mean"] == steps[0]["mean"]
        after = {"mean": steps[1]["mean"], "ci95": steps[1]["ci95"], "over_seeds": None}
        assert row["after"] == after
