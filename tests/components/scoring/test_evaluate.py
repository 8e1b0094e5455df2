"""The evaluate step: scores before and after adaptation, beside the training they belong to."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from components.artifacts.intervals import half_width, paired_difference
from components.artifacts.results import ABLATED, METRICS, Result, read_json
from components.artifacts.runs import RUN, RUNS, read_run, read_runs
from components.config.code import git_commit
from components.evaluate.step import evaluate
from components.kinds.kind import gate_scores, task_set
from components.kinds.sinusoid import Sinusoid
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.scoring.step import headline
from components.train.step import train
from metasgd.ablation import ablations
from metasgd.checkpoint import ABOUT, load_checkpoint, save_checkpoint
from metasgd.errors import DivergedError, InputError
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.own_folder import MARK
from metasgd.seeds import generator
from metasgd.tasks import Examples
from tests.components.lane import Lane, artifacts, experiment, read, run_of, store

ALGORITHMS = ("meta-sgd", "maml", "from-scratch")
ABLATIONS: dict[str, tuple[str, ...]] = {
    "meta-sgd": ("start", "mean", "layer-means", "shuffled", "unsigned", "head-only", "body-only"),
    "maml": (),
    "from-scratch": (),
}


class Evaluated(Lane):
    """Three algorithms trained and evaluated; `before` are their runs after training."""

    def __init__(self, root: Path, client: MlflowClient) -> None:
        super().__init__(root, "algorithms.from-scratch.test_steps=3")
        checkpoints = [self.train(algorithm) for algorithm in ALGORITHMS]
        self.before = {name: run_of(client, self.checkpoint(name)) for name in ALGORITHMS}
        self.evaluate(*checkpoints)


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluated]:
    folder = tmp_path_factory.mktemp("evaluate")
    with store(folder) as client:
        yield Evaluated(folder, client)


@pytest.fixture
def client(lane: Evaluated) -> Iterator[MlflowClient]:
    with store(lane.root) as found:
        yield found


def result(folder: Path, algorithm: str = "meta-sgd") -> Result:
    return read_json(Result, folder / f"{algorithm}-seed1.json")


def test_the_results_folder(lane: Evaluated) -> None:
    """Per checkpoint a result, its per-task scores and pictures; a file of metrics each."""
    names = {f"{name}-seed1{suffix}" for name in ALGORITHMS for suffix in (".json", ".parquet")}
    assert {path.name for path in lane.results.iterdir()} == names | {MARK, METRICS, RUNS, "figures"}
    pictures = {path.name for path in (lane.results / "figures" / "meta-sgd-seed1").iterdir()}
    assert pictures == {"learning-curve.svg", "alpha.svg", "alpha.csv", "sine-fits.svg"}
    reference = {path.name for path in (lane.results / "figures" / "from-scratch-seed1").iterdir()}
    assert "learning-curve.svg" not in reference


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scores_are_those_of_each_task_adapted_alone(lane: Evaluated, algorithm: str) -> None:
    """Every stored score is the mean squared error of one task after that many steps, by a plain loop."""
    learner, meta, _ = load_checkpoint(lane.checkpoint(algorithm))
    data = load_tasks(lane.episodes)
    assert isinstance(data, Sinusoid)
    scores = pd.read_parquet(lane.results / f"{algorithm}-seed1.parquet")
    sets = {("gate", 5), ("test", 5), ("test", 10)} | {
        (f"{ABLATED}{name}", 5) for name in ABLATIONS[algorithm]
    }
    assert set(zip(scores["set"], scores["shots"], strict=True)) == sets
    for name, shots, task in (("gate", 5, 29), ("test", 5, 0), ("test", 10, 7)):
        support_x, support_y, query_x, query_y = (value[task] for value in data.batch(name, shots))
        for step in range(learner.settings.test_steps + 1):
            adapted = learner.adapt(meta, Examples(support_x, support_y), step)
            expected = float((learner.predict(adapted, query_x) - query_y).square().mean())
            here = (scores["set"] == name) & (scores["shots"] == shots)
            here &= (scores["task"] == task) & (scores["step"] == step)
            assert scores.loc[here, "score"].tolist() == pytest.approx([expected], rel=1e-4)


def test_the_result_is_the_mean_over_the_test_tasks(lane: Evaluated) -> None:
    """Mean and 95 % interval of 8 tasks (t = 2.3646 at 7 degrees of freedom); gate tasks play no part."""
    scores = pd.read_parquet(lane.results / "meta-sgd-seed1.parquet")
    found = result(lane.results)
    assert (found.shots, found.tasks) == (5, 8)
    assert [score.step for score in found.steps] == [0, 1]
    by_shots = {5: found.steps, 10: found.other_shots[10].steps}
    for shots, steps in by_shots.items():
        for score in steps:
            of_test = scores[(scores["set"] == "test") & (scores["shots"] == shots)]
            values = of_test.loc[of_test["step"] == score.step, "score"]
            assert score.mean == pytest.approx(values.sum() / 8)
            deviation = math.sqrt(((values - values.mean()) ** 2).sum() / 7)
            assert score.ci95 == pytest.approx(2.364624 * deviation / math.sqrt(8), rel=1e-5)


def test_the_result_says_what_was_measured(lane: Evaluated) -> None:
    """Task set, data, commit, training and protocol stand beside the numbers."""
    found, data = result(lane.results), load_tasks(lane.episodes)
    assert (found.experiment, found.algorithm, found.seed) == ("sinusoid-5shot", "meta-sgd", 1)
    assert (found.metric, found.higher_is_better) == ("mse", False)
    assert found.task_set == task_set(data, "test", 5)
    assert found.other_shots[10].task_set == task_set(data, "test", 10)
    assert found.data == data.episodes.manifest.data
    assert found.commit == git_commit()
    assert found.network["parameters"] == 8 + 8 + 8 + 1
    assert found.training is not None
    assert (found.training.iterations, found.training.compiled) == (20, False)
    assert read_runs(lane.results / RUNS)["meta-sgd-seed1"] == read_run(lane.checkpoint() / RUN)
    assert [result(lane.results, name).reference for name in ALGORITHMS] == [False, False, True]


def test_every_training_has_metrics_under_the_same_names(lane: Evaluated) -> None:
    """What `dvc metrics show` prints a row of."""
    for algorithm in ALGORITHMS:
        steps = result(lane.results, algorithm).steps
        expected = {"before": steps[0].mean, "after": steps[-1].mean, "ci95": steps[-1].ci95, "tasks": 8}
        assert read(lane.results / METRICS / f"{algorithm}-seed1.json") == expected


def test_the_headline_numbers(lane: Evaluated) -> None:
    """Which KFP shows: before and after adaptation, per algorithm and seed."""
    numbers = headline([result(lane.results, name) for name in ALGORITHMS])
    assert len(numbers) == 4 * len(ALGORITHMS)
    last = result(lane.results, "from-scratch").steps[-1]
    assert last.step == 3
    assert numbers["from-scratch-seed1-mse-after"] == last.mean
    assert numbers["from-scratch-seed1-mse-after-ci95"] == last.ci95
    assert numbers["from-scratch-seed1-mse-served"] == last.mean, "no prediction depends on the others"
    assert numbers["meta-sgd-seed1-mse-before"] == result(lane.results).steps[0].mean


@pytest.mark.parametrize("name", ABLATIONS["meta-sgd"])
def test_what_alpha_is_worth_is_paired_with_the_learner_as_served(lane: Evaluated, name: str) -> None:
    """Adapting with that alpha, task by task, loses what is said."""
    learner, meta, _ = load_checkpoint(lane.checkpoint())
    data = load_tasks(lane.episodes)
    with_less = gate_scores(data, learner, ablations(learner, meta, seed=1)[name])
    lost = (with_less - gate_scores(data, learner, meta)).double().numpy()
    (found,) = [ablation for ablation in result(lane.results).ablations if ablation.name == name]
    assert found.mean == pytest.approx(float(with_less.mean()), rel=1e-5)
    assert found.worth == pytest.approx(lost.mean(), rel=1e-5)
    assert found.ci95 == pytest.approx(half_width(lost), rel=1e-5)


def ended(run: Run) -> tuple[str, int]:
    return run.info.status, run.info.end_time


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_evaluation_joins_the_run_of_its_training(
    lane: Evaluated, client: MlflowClient, algorithm: str
) -> None:
    """Metrics, tags and pictures are added; parameters, status and end stay what the training left."""
    before, after = lane.before[algorithm], run_of(client, lane.checkpoint(algorithm))
    found = result(lane.results, algorithm)
    assert ended(after) == ended(before)
    assert after.data.params == before.data.params
    assert before.data.metrics.items() <= after.data.metrics.items()
    new = {name: value for name, value in after.data.metrics.items() if name not in before.data.metrics}
    assert set(new) == {
        "test_mse_before", "test_mse_before_ci95", "test_mse_after", "test_mse_after_ci95",
        "test_mse_served", "test_mse_served_ci95", "gate_mse_after", "test_mse_after_10shot",
        "theta_norm", "alpha_mean", "alpha_negative_share",
        *(f"with_alpha_{name}_{end}" for name in ABLATIONS[algorithm] for end in ("gate_mse", "worth")),
    }  # fmt: skip
    assert new["test_mse_before"] == found.steps[0].mean
    assert new["test_mse_after"] == found.steps[-1].mean
    assert new["test_mse_after_10shot"] == found.other_shots[10].steps[-1].mean
    assert after.data.tags["task_set"] == found.task_set
    assert after.data.tags["reference"] == str(found.reference)
    assert f"| after adaptation | {found.after.mean:.4g} |" in after.data.tags["mlflow.note.content"]
    assert "figures/alpha.svg" in artifacts(client, after.info.run_id)
    assert len(client.search_runs([after.info.experiment_id])) >= 3


def test_a_failed_training_stays_failed(lane: Evaluated, client: MlflowClient, tmp_path: Path) -> None:
    """Evaluating the checkpoint that a diverged training kept does not whitewash its run."""
    with pytest.raises(DivergedError):
        train(experiment("train.rate=1e30").training("maml", 1), lane.episodes, tmp_path / "checkpoint")
    evaluate([tmp_path / "checkpoint"], lane.episodes, tmp_path / "results")
    run = run_of(client, tmp_path / "checkpoint")
    assert run.info.status == "FAILED"
    assert "test_mse_after" in run.data.metrics


def test_an_unknown_training_gets_a_linked_run(lane: Evaluated, tmp_path: Path) -> None:
    """In a store that does not know the training, evaluation opens a run of its own that names it."""
    copy = tmp_path / "pulled"
    shutil.copytree(lane.checkpoint(), copy)
    bare = tmp_path / "bare"
    shutil.copytree(lane.checkpoint("maml"), bare)
    (bare / RUN).unlink()
    with store(tmp_path) as client:
        evaluate([copy, bare], lane.episodes, tmp_path / "results")
        runs = {
            name: client.get_run(read_runs(tmp_path / "results" / RUNS)[f"{name}-seed1"].run_id)
            for name in ("meta-sgd", "maml")
        }
    trained = read(copy / RUN)["run_id"]
    assert runs["meta-sgd"].info.run_id != trained
    assert runs["meta-sgd"].data.tags["training_run"] == trained
    assert runs["maml"].data.tags["training_run"] == "None"
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["meta-sgd"].info.run_name == "sinusoid-5shot meta-sgd seed 1 (evaluation)"
    scores = result(tmp_path / "results")
    assert scores.steps == result(lane.results).steps, "the same numbers wherever they are tracked"


def test_tasks_of_another_domain_have_a_run_of_their_own(
    lane: Evaluated, client: MlflowClient, tmp_path: Path
) -> None:
    """Faster curves: the result says what the model was trained on; its training's row stays as it was."""
    preprocess(experiment("tasks.distribution.frequency=[2.0, 3.0]").tasks, tmp_path / "episodes")
    before = run_of(client, lane.checkpoint())
    evaluate([lane.checkpoint()], tmp_path / "episodes", tmp_path / "results")
    found = result(tmp_path / "results")
    assert found.trained_on is not None
    assert "frequency [0.8, 1.2]" in found.trained_on
    assert f"trained on {found.trained_on}" in found.notes
    assert found.after.mean != result(lane.results).after.mean
    assert run_of(client, lane.checkpoint()).data.metrics == before.data.metrics
    own = client.get_run(read_runs(tmp_path / "results" / RUNS)["meta-sgd-seed1"].run_id)
    assert own.data.tags["training_run"] == before.info.run_id
    assert "frequency [2.0, 3.0]" in own.info.run_name
    assert result(lane.results).trained_on is None


def test_a_checkpoint_of_another_problem_is_refused(
    lane: Evaluated, client: MlflowClient, tmp_path: Path
) -> None:
    """Trained on two inputs, asked about curves: one line names both, and former results stay."""
    shutil.copytree(lane.results, tmp_path / "results")
    before = sorted(path.name for path in (tmp_path / "results").rglob("*"))
    training = lane.training()
    learner = build_learner(Problem("regression", (2,), 1), training.network, training.learner)
    save_checkpoint(tmp_path / "plane", learner, learner.initial(generator(1, "theta")), about={})
    with pytest.raises(InputError, match=r"input_shape=\(2,\).*expected .*input_shape=\(1,\)") as caught:
        evaluate([lane.checkpoint(), tmp_path / "plane"], lane.episodes, tmp_path / "results")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "plane") in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "results").rglob("*")) == before


def test_a_checkpoint_that_no_train_step_wrote_is_refused(
    lane: Evaluated, client: MlflowClient, tmp_path: Path
) -> None:
    """A checkpoint without its training's parameters: one line, not a KeyError."""
    shutil.copytree(lane.checkpoint(), tmp_path / "checkpoint")
    document = read(tmp_path / "checkpoint" / ABOUT)
    (tmp_path / "checkpoint" / ABOUT).write_text(json.dumps({**document, "about": {}}))
    (tmp_path / "checkpoint" / MARK).unlink()
    with pytest.raises(InputError, match="training"):
        evaluate([tmp_path / "checkpoint"], lane.episodes, tmp_path / "results")


def test_a_single_test_curve_is_drawn(lane: Evaluated, client: MlflowClient, tmp_path: Path) -> None:
    """Fewer than the figure has panels for."""
    preprocess(experiment("tasks.stored.test=1").tasks, tmp_path / "episodes")
    evaluate([lane.checkpoint()], tmp_path / "episodes", tmp_path / "results")
    assert (tmp_path / "results" / "figures" / "meta-sgd-seed1" / "sine-fits.svg").exists()


def test_gate_scores_are_the_stored_ones(lane: Evaluated) -> None:
    """A champion that is scored again gets, bit for bit, what evaluate stored."""
    learner, meta, _ = load_checkpoint(lane.checkpoint())
    scores = pd.read_parquet(lane.results / "meta-sgd-seed1.parquet")
    stored = scores[(scores["set"] == "gate") & (scores["step"] == 1)]["score"]
    again = gate_scores(load_tasks(lane.episodes), learner, meta).double()
    assert torch.equal(torch.tensor(stored.tolist(), dtype=torch.float64), again)


def test_half_width_by_hand() -> None:
    """1, 2, 3, 4: deviation 1.29099, t(3) = 3.18245, so 3.18245 * 1.29099 / 2; nothing from one value."""
    assert half_width([1.0, 2.0, 3.0, 4.0]) == pytest.approx(2.05426, abs=1e-5)
    assert half_width([3.0]) == 0.0


def test_paired_difference_by_hand() -> None:
    """Task by task: differences 1, 2, 3, 4 whatever the tasks' own level, interval 2.5 ± 2.05426."""
    mean, (low, high) = paired_difference([101.0, 12.0, 33.0, 4.0], [100.0, 10.0, 30.0, 0.0])
    assert mean == 2.5
    assert (low, high) == pytest.approx((0.44574, 4.55426), abs=1e-5)
