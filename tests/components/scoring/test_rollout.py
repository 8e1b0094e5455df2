"""The rollout step: returns before adaptation and after each step, and the trajectories behind them."""

import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from components.artifacts.checkpoint import CURVE
from components.artifacts.decision import Decision
from components.artifacts.results import METRICS, Result, read_json
from components.artifacts.runs import RUNS
from components.config.settings import Promotion
from components.console.progress import PROGRESS, READ
from components.evaluate.step import evaluate
from components.kinds.experiment import Experiment, load_experiment
from components.kinds.kind import gate_scores, task_set
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.promote.step import promote
from components.rollout.step import rollout
from components.train.step import train
from components.train.tuning import best_rate, tune
from metasgd.checkpoint import WEIGHTS, load_checkpoint
from metasgd.errors import InputError
from metasgd.own_folder import MARK
from metasgd.policy_adaptation import adapt, unadapted
from metasgd.rollouts import Trajectories
from tests.components.lane import PARAMS, Lane, artifacts, experiment, run_of, store

NAVIGATION = "navigation-short"
TINY = (
    "network.hidden=[8]",
    "train.iterations=3",
    "train.validate_every=2",
    "train.meta_batch=3",
    "train.fisher_trajectories=2",
    "tasks.distribution.shots=4",
    "tasks.distribution.queries=4",
    "tasks.distribution.horizon=15",
    "tasks.stored.validation=3",
    "tasks.stored.gate=20",
    "tasks.stored.test=6",
    "tasks.stored.test_shots=[4]",
    "tasks.stored.test_queries=4",
)
ALGORITHMS = ("meta-sgd", "maml", "from-scratch")


class ControlLane(Lane):
    """A tiny control lane; each step is run when it is asked for."""

    def __init__(self, root: Path, *overrides: str) -> None:
        self.root = root
        self.experiment = control(*overrides)
        self.episodes = root / "episodes"
        self.results = root / "results"
        preprocess(self.experiment.tasks, self.episodes)

    def decide(self, *checkpoints: Path) -> Decision:
        output = self.root / "decision.json"
        promote(NAVIGATION, Promotion(dry_run=False), checkpoints, self.results, self.episodes, output)
        return read_json(Decision, output)


def control(*overrides: str) -> Experiment:
    """A navigation experiment of params.yaml, shrunk."""
    return load_experiment(NAVIGATION, [*TINY, *overrides], PARAMS)


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlLane]:
    folder = tmp_path_factory.mktemp("rollout")
    with store(folder):
        gains = "algorithms.meta-sgd.start=[0.5, 0.5]"  # by its step, as a first champion has to
        made = ControlLane(folder, "algorithms.from-scratch.test_steps=5", gains)
        rollout([made.train(name) for name in ALGORITHMS], made.episodes, made.results)
        yield made


@pytest.fixture
def client(lane: ControlLane) -> Iterator[MlflowClient]:
    with store(lane.root) as found:
        yield found


def result(lane: ControlLane, algorithm: str = "meta-sgd") -> Result:
    return read_json(Result, lane.results / f"{algorithm}-seed1.json")


def scores(lane: ControlLane, algorithm: str = "meta-sgd") -> pd.DataFrame:
    return pd.read_parquet(lane.results / f"{algorithm}-seed1.parquet")


def test_the_results_folder(lane: ControlLane) -> None:
    """Per checkpoint a result, its returns, pictures and trajectories; the lane's pictures beside them."""
    names = {f"{name}-seed1{suffix}" for name in ALGORITHMS for suffix in (".json", ".parquet")}
    assert {path.name for path in lane.results.iterdir()} == names | {
        MARK,
        METRICS,
        RUNS,
        "figures",
        "trajectories",
    }
    pictures = {path.name for path in (lane.results / "figures").iterdir()}
    own = {f"{name}-seed1" for name in ALGORITHMS}
    assert pictures == own | {"trajectories.svg", "adaptation.gif"}
    assert {path.stem for path in (lane.results / "trajectories").iterdir()} == own


def test_one_step_counts_and_three_are_scored(lane: ControlLane) -> None:
    """The reported return is that after one step; further ones stand beside it."""
    found = result(lane)
    assert (found.metric, found.higher_is_better, found.adapted) == ("return", True, 1)
    assert [score.step for score in found.steps] == [0, 1, 2, 3]
    assert (found.shots, found.tasks) == (4, 6)
    table = scores(lane)
    after = table[(table["set"] == "test") & (table["step"] == 1)]["score"]
    assert found.after.mean == pytest.approx(after.mean())
    shown = json.loads((lane.results / METRICS / "meta-sgd-seed1.json").read_text())
    assert shown == {
        "before": found.steps[0].mean,
        "after": found.after.mean,
        "ci95": found.after.ci95,
        "tasks": 6,
    }
    scratch = result(lane, "from-scratch")
    assert (scratch.adapted, scratch.reference) == (5, True)
    assert [score.step for score in scratch.steps] == [0, 1, 2, 3, 4, 5]


def test_gate_tasks_are_scored_by_the_learners_own_steps(lane: ControlLane) -> None:
    """Up to the one that counts, and the gate's own call gives the same bits."""
    table = scores(lane)
    gate = table[table["set"] == "gate"]
    assert sorted(gate["step"].unique()) == [0, 1]
    learner, meta, _ = load_checkpoint(lane.checkpoint())
    again = gate_scores(load_tasks(lane.episodes), learner, meta).double().numpy()
    np.testing.assert_array_equal(again, gate[gate["step"] == 1].sort_values("task")["score"])


def test_saved_trajectories_are_those_that_were_scored(lane: ControlLane) -> None:
    """Their rewards add up to the returns of the first test tasks, before and after every step."""
    saved = load_file(lane.results / "trajectories" / "meta-sgd-seed1.safetensors")
    stages, tasks, trajectories, time = saved["rewards"].shape
    assert (stages, trajectories, time) == (4, 4, 15)
    assert saved["observations"].shape == saved["actions"].shape == (stages, tasks, trajectories, time, 2)
    stored = load_tasks(lane.episodes).episodes.stored["test"]
    assert torch.equal(saved["task/goal"], stored["goal"][:tasks])
    table = scores(lane)
    table = table[(table["set"] == "test") & (table["task"] < tasks)]
    expected = table.pivot_table(index="step", columns="task", values="score").to_numpy()
    np.testing.assert_allclose(saved["rewards"].sum(-1).mean(-1).numpy(), expected, rtol=1e-6)


def test_equal_calls_give_equal_results(lane: ControlLane, client: MlflowClient, tmp_path: Path) -> None:
    """Bit for bit: the noise belongs to the stored tasks."""
    rollout([lane.checkpoint()], lane.episodes, tmp_path / "again")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "again" / "meta-sgd-seed1.parquet"), scores(lane), check_exact=True
    )


def test_one_row_in_mlflow_says_all(lane: ControlLane, client: MlflowClient) -> None:
    """Returns join the run of the training, whose curve has every value of every iteration."""
    run = run_of(client, lane.checkpoint())
    metrics, found = run.data.metrics, result(lane)
    assert metrics["test_return_before"] == found.steps[0].mean
    assert metrics["test_return_after"] == found.after.mean
    assert metrics["test_return_after_3steps"] == found.steps[3].mean
    curve = pd.read_csv(lane.checkpoint() / CURVE)
    assert curve["iteration"].tolist() == [1, 2, 3]
    for name in (
        "return_before",
        "return_after_sem",
        "kl",
        "accepted",
        "line_search_trials",
        "log_std",
    ):
        history = client.get_metric_history(run.info.run_id, name)
        assert [entry.value for entry in history] == pytest.approx(curve[name].tolist()), name
    kept = {Path(path).name for path in artifacts(client, run.info.run_id)}
    assert {WEIGHTS, CURVE, "trajectories.svg", "adaptation.gif", "learning-curve.svg", "alpha.svg"} <= kept


def test_a_repeated_training_gives_the_same_bits(
    lane: ControlLane, client: MlflowClient, tmp_path: Path
) -> None:
    """Also where it continues from a state that another process left."""
    train(lane.training(), lane.episodes, tmp_path / "again", tmp_path / "state")
    train(lane.training(), lane.episodes, tmp_path / "continued", tmp_path / "state")
    expected = (lane.checkpoint() / WEIGHTS).read_bytes()
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == expected
    assert (tmp_path / "continued" / WEIGHTS).read_bytes() == expected


def test_progress_shows_only_what_fits_a_line(
    lane: ControlLane,
    client: MlflowClient,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Returns and validation; MLflow keeps the rest."""
    monkeypatch.setenv(PROGRESS, READ)
    train(lane.training("maml"), lane.episodes, tmp_path / "again")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::progress::")]
    assert len(lines) == 3
    assert all("return_before" in line and "accepted" not in line for line in lines)
    assert "validation_return" in lines[-1]


def test_a_rate_is_tuned_by_returns(lane: ControlLane, client: MlflowClient) -> None:
    """The best one is that with the highest validation return."""
    found, higher_is_better = tune(lane.training("maml"), [0.1, 5.0], lane.episodes)
    assert higher_is_better
    assert best_rate(found, higher_is_better) == max(found, key=lambda rate: found[rate])


def test_the_champion_is_decided_by_returns_and_serves(lane: ControlLane, client: MlflowClient) -> None:
    """Models are registered, references are not; trajectories become clipped mean actions."""
    decision = lane.decide(*(lane.checkpoint(name) for name in ALGORITHMS))
    assert [model.algorithm for model in decision.versions] == ["meta-sgd", "maml"]
    first, second = decision.comparisons
    assert first.wins
    table = [scores(lane, name) for name in ("maml", "meta-sgd")]
    means = [one[(one["set"] == "gate") & (one["step"] == 1)]["score"].mean() for one in table]
    assert second.mean_difference == pytest.approx(means[0] - means[1]), "higher is better"

    model = mlflow.pyfunc.load_model(f"models:/{NAVIGATION}/{decision.versions[0].version}")
    saved = load_file(lane.results / "trajectories" / "meta-sgd-seed1.safetensors")
    drawn = Trajectories(*(saved[name][0, :1] for name in Trajectories._fields))
    queries = torch.tensor([[0.1, -0.2], [0.0, 0.3]])
    support = {f"support_{name}": part[0].numpy() for name, part in drawn._asdict().items()}
    actions = model.predict({**support, "query_observations": queries.numpy()})
    learner, meta, _ = load_checkpoint(lane.checkpoint())
    with torch.no_grad():
        policies = adapt(learner, unadapted(meta, 1), meta.alpha, drawn)
        expected = learner.network({name: value[0] for name, value in policies.theta.items()}, queries)[:, :2]
    clip = lane.experiment.tasks.distribution.clip
    np.testing.assert_allclose(actions, expected.clamp(-clip, clip).numpy(), rtol=1e-5)


def test_checkpoints_of_another_problem_are_refused(
    lane: ControlLane, client: MlflowClient, tmp_path: Path
) -> None:
    """Curves are no policies, and another discount adapts otherwise; nothing is written."""
    preprocess(control("tasks.distribution.discount=0.5").tasks, tmp_path / "episodes")
    with pytest.raises(InputError, match="was trained for"):
        rollout([lane.checkpoint()], tmp_path / "episodes", tmp_path / "results")
    preprocess(experiment().tasks, tmp_path / "curves")
    with pytest.raises(InputError, match="sinusoid tasks; expected step evaluate"):
        rollout([lane.checkpoint()], tmp_path / "curves", tmp_path / "results")
    with pytest.raises(InputError, match="control tasks; expected step rollout"):
        evaluate([lane.checkpoint()], lane.episodes, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_what_decides_a_return_is_in_the_task_set(lane: ControlLane, tmp_path: Path) -> None:
    """The same tasks give the same bytes; other dynamics and another seed are other task sets."""
    name = task_set(load_tasks(lane.episodes), "test", 4)
    for change, same in (
        ("train.iterations=4", True),
        ("tasks.distribution.speed=0.2", False),
        ("tasks.seed=3", False),
    ):
        preprocess(control(change).tasks, tmp_path / change)
        assert (task_set(load_tasks(tmp_path / change), "test", 4) == name) is same
