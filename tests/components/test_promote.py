"""The promote step: every model registered, the champion replaced only on a win, and moved back by hand.

The contenders are lines through zero plus an offset that never adapt (alpha is 0): on the same curves,
their errors are ordered by the offset, task by task far apart.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components import parameters
from components.episodes import load_episodes
from components.evaluate.step import THREADS, evaluate, gate_scores
from components.parameters import Promotion, Training, to_json
from components.preprocess.step import preprocess
from components.promote.gate import judge
from components.promote.registry import CHAMPION, Move, champion, move_champion, moves, register, rollback
from components.promote.served_model import AdaptingModel
from components.promote.step import promote
from components.results import Decision, Result, read_json
from components.tracking import open_run
from components.train.step import RUN
from metasgd.adaptation import Learner, Meta, Problem
from metasgd.checkpoint import load_checkpoint, save_checkpoint
from metasgd.errors import InputError
from metasgd.seeds import generator
from tests.components.lane import Lane, artifacts, experiment, read, store
from tests.metasgd.small import convnet_settings, learner_settings

CHECKOUT = Path(parameters.__file__).parents[1]
GOOD, MIDDLING, BAD = 0.0, 3.0, 9.0


@dataclass(frozen=True)
class Gate:
    """The lane whose episodes all tests share, and the store's client."""

    lane: Lane
    client: MlflowClient

    @property
    def root(self) -> Path:
        return self.lane.root


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A lane with Meta-SGD trained, evaluated and promoted, in a store of its own."""
    folder = tmp_path_factory.mktemp("promote")
    with store(folder):
        made = Lane(folder)
        made.evaluate(made.train())
        promote("sinusoid-5shot", Promotion(False), [made.checkpoint()], made.results, made.episodes,
                folder / "decision.json")  # fmt: skip
        yield made


@pytest.fixture
def gate(lane: Lane) -> Iterator[Gate]:
    with store(lane.root) as client:
        yield Gate(lane, client)


class Contest:
    """The models of one test, under an experiment's name of their own."""

    def __init__(self, gate: Gate, name: str) -> None:
        self.gate, self.name = gate, name
        self.folder = gate.root / name
        self.episodes = gate.lane.episodes

    def contender(self, offset: float, seed: int, algorithm: str = "meta-sgd", **learner: object) -> Path:
        """A checkpoint as the train step leaves it, with a run of its own."""
        trained = load_checkpoint(self.gate.lane.checkpoint())
        training: Training = self.gate.lane.training(algorithm, seed)
        training = replace(training, experiment=self.name, learner=replace(training.learner, **learner))  # type: ignore[arg-type]
        network = Learner.build(trained[0].problem, training.network, training.learner)
        start = network.initial(generator(1, "theta"))
        theta = {name: torch.zeros_like(value) for name, value in start.theta.items()}
        theta["linear1.bias"] += offset
        meta = Meta(theta, {name: torch.zeros_like(value) for name, value in start.alpha.items()})
        checkpoint = self.folder / f"{algorithm}-{seed}"
        shutil.copytree(self.gate.lane.checkpoint(), checkpoint)
        save_checkpoint(checkpoint, network, meta, {**trained[2], "training": to_json(training)})
        with open_run("sinusoid", self.name, {}) as run:
            (checkpoint / RUN).write_text(json.dumps({"run_id": run.run_id}))
        return checkpoint

    def promote(self, *checkpoints: Path, dry_run: bool = False, evaluated: bool = False) -> Decision:
        if not evaluated:
            evaluate(checkpoints, self.episodes, self.folder / "results")
        output = self.folder / "out" / "decision.json"
        promote(self.name, Promotion(dry_run), checkpoints, self.folder / "results", self.episodes, output)
        return read_json(Decision, output)

    @property
    def champion(self) -> str | None:
        return champion(self.gate.client, self.name)

    @property
    def versions(self) -> int:
        return len(self.gate.client.search_model_versions(f"name='{self.name}'"))


@pytest.fixture
def contest(gate: Gate, request: pytest.FixtureRequest) -> Contest:
    return Contest(gate, request.node.originalname.removeprefix("test_"))


def test_without_a_champion_the_first_model_becomes_it(contest: Contest) -> None:
    """Registered as version 1, the alias on it, the move and the decision on record."""
    checkpoint = contest.contender(BAD, seed=1)
    decision = contest.promote(checkpoint)
    assert contest.champion == "1"
    assert (decision.champion_before, decision.champion_after) == (None, "1")
    (comparison,) = decision.comparisons
    assert comparison.wins
    assert (comparison.champion, comparison.mean_difference, comparison.ci95) == (None, None, None)
    assert moves(contest.gate.client, contest.name) == [Move(None, "1", "there was no champion")]
    (model,) = decision.versions
    assert (model.algorithm, model.seed, model.version) == ("meta-sgd", 1, "1")
    assert model.run_id == read(checkpoint / RUN)["run_id"]
    data = load_episodes(contest.episodes)
    assert decision.task_set == data.task_set("gate", 5)
    assert not decision.dry_run
    tags = contest.gate.client.get_model_version(contest.name, "1").tags
    assert tags == {"algorithm": "meta-sgd", "seed": "1", "data": data.manifest["data"]}
    assert "decision.json" in artifacts(contest.gate.client, str(model.run_id))


def test_a_clearly_better_challenger_wins(contest: Contest) -> None:
    """The alias moves, and the record says from where to where and why."""
    contest.promote(contest.contender(BAD, seed=1))
    decision = contest.promote(contest.contender(GOOD, seed=2))
    assert (decision.champion_before, decision.champion_after) == ("1", "2")
    assert contest.champion == "2"
    (comparison,) = decision.comparisons
    assert comparison.champion is not None
    assert (comparison.champion.version, comparison.challenger.version) == ("1", "2")
    assert comparison.mean_difference is not None
    assert comparison.ci95 is not None
    # (y - 9)² - y² = 81 - 18 y, which is 81 on average over curves.
    assert 60 < comparison.mean_difference < 100
    assert 0 < comparison.ci95[0] < comparison.mean_difference < comparison.ci95[1]
    assert [(move.before, move.after) for move in moves(contest.gate.client, contest.name)] == [
        (None, "1"),
        ("1", "2"),
    ]


def test_a_worse_challenger_is_registered_and_loses(contest: Contest) -> None:
    """It gets a version, and the alias stays."""
    contest.promote(contest.contender(GOOD, seed=1))
    decision = contest.promote(contest.contender(BAD, seed=2))
    assert (contest.champion, contest.versions) == ("1", 2)
    assert decision.champion_after == "1"
    assert not decision.comparisons[0].wins
    assert "worse" in decision.comparisons[0].reason
    assert len(moves(contest.gate.client, contest.name)) == 1


def test_equal_scores_move_nothing(contest: Contest) -> None:
    """The same numbers under another seed: no clear difference, so the champion stays."""
    contest.promote(contest.contender(MIDDLING, seed=1))
    decision = contest.promote(contest.contender(MIDDLING, seed=2))
    assert (contest.champion, contest.versions) == ("1", 2)
    (comparison,) = decision.comparisons
    assert (comparison.mean_difference, comparison.ci95, comparison.wins) == (0.0, (0.0, 0.0), False)
    assert "no clear difference" in comparison.reason


def test_a_dry_run_registers_nothing(contest: Contest) -> None:
    """The decision is written, and the registry does not even know the model's name."""
    checkpoints = [contest.contender(BAD, seed=1), contest.contender(GOOD, seed=2)]
    decision = contest.promote(*checkpoints, dry_run=True)
    assert decision.dry_run
    assert [comparison.wins for comparison in decision.comparisons] == [True, True]
    assert [model.version for model in decision.versions] == [None, None]
    assert (decision.champion_before, decision.champion_after) == (None, None)
    with pytest.raises(MlflowException, match="not found"):
        contest.gate.client.get_registered_model(contest.name)
    for model in decision.versions:
        assert not {"decision.json", "model/MLmodel"} & artifacts(contest.gate.client, str(model.run_id))


def test_a_dry_run_leaves_the_champion_alone(contest: Contest) -> None:
    """Against a present champion too: a win in a dry run moves nothing."""
    contest.promote(contest.contender(BAD, seed=1))
    decision = contest.promote(contest.contender(GOOD, seed=2), dry_run=True)
    assert decision.comparisons[0].wins
    assert (decision.champion_before, decision.champion_after) == ("1", "1")
    assert (contest.champion, contest.versions) == ("1", 1)


def test_promoted_again_a_training_keeps_its_version(contest: Contest) -> None:
    """The step repeated, as after a crash: the same versions, the same champion, no new move."""
    checkpoints = [contest.contender(BAD, seed=1), contest.contender(GOOD, seed=2)]
    first = contest.promote(*checkpoints)
    again = contest.promote(*checkpoints, evaluated=True)
    assert again.versions == first.versions
    assert (contest.champion, contest.versions) == ("2", 2)
    assert (again.champion_before, again.champion_after) == ("2", "2")
    assert [comparison.wins for comparison in again.comparisons] == [False, False]
    assert again.comparisons[1].mean_difference == 0.0, "the champion, scored again, is bitwise itself"
    assert len(moves(contest.gate.client, contest.name)) == 2


def test_challengers_meet_the_champion_in_their_order(contest: Contest) -> None:
    """Each win counts for the next comparison: 9 wins without champion, 0 against 9, 3 loses against 0."""
    checkpoints = [contest.contender(offset, seed) for seed, offset in enumerate((BAD, GOOD, MIDDLING), 1)]
    decision = contest.promote(*checkpoints)
    met = [one.champion and one.champion.seed for one in decision.comparisons]
    assert met == [None, 1, 2]
    assert [one.challenger.seed for one in decision.comparisons] == [1, 2, 3]
    assert [one.wins for one in decision.comparisons] == [True, True, False]
    assert contest.champion == decision.champion_after == "2"


def test_references_are_never_promoted(contest: Contest) -> None:
    """Neither what is not adapted nor what is not trained is registered, however good it is."""
    checkpoints = [
        contest.contender(GOOD, seed=1, algorithm="no-adaptation"),
        contest.contender(GOOD, seed=1, algorithm="from-scratch", test_steps=1),
        contest.contender(BAD, seed=1),
    ]
    decision = contest.promote(*checkpoints)
    assert [model.algorithm for model in decision.versions] == ["meta-sgd"]
    assert len(decision.comparisons) == contest.versions == 1
    assert contest.champion == "1"


def test_the_champion_is_scored_on_this_runs_tasks(contest: Contest) -> None:
    """A champion from other gate tasks first meets these: the difference is that on the same tasks."""
    contest.promote(contest.contender(BAD, seed=1))
    contest.episodes = contest.folder / "other-episodes"
    preprocess(experiment("tasks.seed=5").tasks, contest.episodes)
    challenger = contest.contender(MIDDLING, seed=2)
    decision = contest.promote(challenger)
    data = load_episodes(contest.episodes)
    assert decision.task_set == data.task_set("gate", 5)
    scores = [
        gate_scores(*load_checkpoint(path)[:2], data).double()
        for path in (contest.folder / "meta-sgd-1", challenger)
    ]
    assert decision.comparisons[0].mean_difference == pytest.approx(float((scores[0] - scores[1]).mean()))


def test_gate_scores_decide_their_threads_themselves(gate: Gate) -> None:
    """The order of additions decides the last bits: the gate scores as evaluate did, wherever it runs."""
    learner, meta, _ = load_checkpoint(gate.lane.checkpoint())
    torch.set_num_threads(THREADS + 1)
    gate_scores(learner, meta, load_episodes(gate.lane.episodes))
    assert torch.get_num_threads() == THREADS


def test_a_champion_of_another_problem_is_refused(contest: Contest) -> None:
    """One line names both problems, before anything is compared or moved."""
    training = contest.gate.lane.training()
    other = Learner.build(Problem("regression", (2,), 1), training.network, training.learner)
    place = contest.folder / "plane"
    checkpoint = contest.contender(GOOD, seed=1)
    about = load_checkpoint(checkpoint)[2]
    save_checkpoint(place, other, other.initial(generator(1, "theta")), about)
    evaluate([checkpoint], contest.episodes, contest.folder / "results")
    result = read_json(Result, contest.folder / "results" / "meta-sgd-seed1.json")
    with open_run("sinusoid", "plane", {}) as run:
        pass
    example = {name: np.zeros((1, 2), np.float32) for name in ("support_examples", "query_examples")}
    example["support_labels"] = np.zeros((1, 1), np.float32)
    number = register(contest.gate.client, place, replace(result, run_id=run.run_id), example)
    move_champion(contest.gate.client, contest.name, Move(None, number, "by the test"))
    with pytest.raises(InputError, match=r"solves .*\(2,\).*expected .*\(1,\)") as caught:
        contest.promote(checkpoint, evaluated=True)
    assert "\n" not in str(caught.value)
    assert contest.champion == number
    assert not (contest.folder / "out").exists()


def test_results_that_are_missing_are_refused(contest: Contest) -> None:
    """One line about the file; nothing is registered."""
    with pytest.raises(InputError, match=r"meta-sgd-seed1\.json: no such file; expected the result"):
        contest.promote(contest.contender(GOOD, seed=1), evaluated=True)
    assert contest.champion is None


# ---- Rollback ----


@pytest.fixture(scope="module")
def record(lane: Lane) -> str:
    """A model with three versions, each better than the one before."""
    with store(lane.root) as client:
        contest = Contest(Gate(lane, client), "three-versions")
        for seed, offset in enumerate((BAD, MIDDLING, GOOD), 1):
            contest.promote(contest.contender(offset, seed))
    return contest.name


@pytest.fixture
def three(gate: Gate, record: str) -> str:
    """That model with version 3 as the champion, and the record of its three promotions."""
    for tag in gate.client.get_registered_model(record).tags:
        gate.client.delete_registered_model_tag(record, tag)
    for before, after in ((None, "1"), ("1", "2"), ("2", "3")):
        move_champion(gate.client, record, Move(before, after, "better"))
    return record


def test_rollback_goes_to_the_champion_before(gate: Gate, three: str) -> None:
    """Without a version, back to whom the champion replaced; the move is on record."""
    move = rollback(gate.client, three, None)
    assert move == Move("3", "2", "rollback by hand")
    assert champion(gate.client, three) == "2"
    assert moves(gate.client, three)[-1] == move
    assert len(moves(gate.client, three)) == 4


def test_rollback_to_a_version(gate: Gate, three: str) -> None:
    """With a version, straight to it."""
    assert rollback(gate.client, three, "1") == Move("3", "1", "rollback by hand")
    assert champion(gate.client, three) == "1"


def test_rolled_back_twice(gate: Gate, three: str) -> None:
    """3 replaced 2, which replaced 1: two rollbacks end at 1, not at 3 again."""
    rollback(gate.client, three, None)
    rollback(gate.client, three, None)
    assert champion(gate.client, three) == "1"


def test_rollbacks_that_are_impossible(gate: Gate, three: str) -> None:
    """Unknown model, unknown version, the champion itself, nothing before it: one line each."""
    cases = {
        "VERSION '9' of three-versions does not exist; expected one of 1, 2, 3": (three, "9"),
        "VERSION '3' of three-versions is the champion already; expected another version": (three, "3"),
    }
    for message, (model, version) in cases.items():
        with pytest.raises(InputError) as caught:
            rollback(gate.client, model, version)
        assert str(caught.value) == message
    with pytest.raises(InputError, match=r"MODEL 'nobody' is not registered; expected one of: .*three"):
        rollback(gate.client, "nobody", None)
    with pytest.raises(InputError, match="version 1 had no champion before it; expected VERSION="):
        rollback(gate.client, "sinusoid-5shot", None)
    assert champion(gate.client, three) == "3"


# ---- The registered model ----

URI = "models:/sinusoid-5shot@champion"


def served_task(gate: Gate) -> dict[str, np.ndarray]:
    """A test task of its own, as the served model takes it."""
    batch = load_episodes(gate.lane.episodes).batch("test", 5)
    names = ("support_examples", "support_labels", "query_examples")
    return {name: tensor[3].numpy() for name, tensor in zip(names, batch, strict=False)}


def expected_predictions(gate: Gate, task: dict[str, np.ndarray]) -> np.ndarray:
    learner, meta, _ = load_checkpoint(gate.lane.checkpoint())
    support_x, support_y, query_x = (torch.tensor(value) for value in task.values())
    with torch.no_grad():
        theta = learner.adapt(meta, support_x, support_y)
        return learner.predict(theta, query_x, support_x).numpy()


def test_the_registered_model_adapts_and_predicts(gate: Gate) -> None:
    """models:/<experiment>@champion gives, bit for bit, what the checkpoint's learner gives."""
    task = served_task(gate)
    model = mlflow.pyfunc.load_model(URI)
    np.testing.assert_array_equal(model.predict(task), expected_predictions(gate, task))
    fewer = {**task, "query_examples": task["query_examples"][:2]}
    assert model.predict(fewer).shape == (2, 1), "any number of queries"
    with pytest.raises(MlflowException, match="support_labels"):
        model.predict({name: value for name, value in task.items() if name != "support_labels"})


FRESH = """
import json, os, sys
from importlib.machinery import ModuleSpec, PathFinder
checkout, refused, used = {checkout!r}, {refused!r}, []

class OnlyWhatTheModelBrings:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in refused:
            used.append(name)
            return ModuleSpec(name, self)
        if top in ("metasgd", "served_model"):  # never the checkout's, however it is installed
            elsewhere = path or [place for place in sys.path if place != checkout]
            return PathFinder.find_spec(name, elsewhere) or ModuleSpec(name, self)

    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name + " is refused")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, OnlyWhatTheModelBrings())
import mlflow, numpy as np
model = mlflow.pyfunc.load_model({uri!r})
with np.load({task!r}) as task:
    np.save({output!r}, model.predict(dict(task)))
import metasgd
print(metasgd.__file__)
"""


def test_the_registered_model_loads_without_this_checkout(gate: Gate, tmp_path: Path) -> None:
    """Elsewhere, with mlflow, torch and safetensors alone: metasgd comes with it, the bits are the same."""
    task = served_task(gate)
    np.savez(tmp_path / "task.npz", **task)  # type: ignore[arg-type]
    code = FRESH.format(
        checkout=str(CHECKOUT),
        refused=["components", "pipelines", "kfp", "dvc", "torchvision", "omegaconf", "rich", "boto3"],
        uri=URI,
        task=str(tmp_path / "task.npz"),
        output=str(tmp_path / "predictions.npy"),
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    home = finished.stdout.strip().splitlines()[-1]
    assert not home.startswith(str(CHECKOUT))
    assert "/code/metasgd/" in home
    np.testing.assert_array_equal(np.load(tmp_path / "predictions.npy"), expected_predictions(gate, task))


def test_the_model_describes_itself(gate: Gate) -> None:
    """Signature with any number of examples, an input example, and pinned requirements: no pickle."""
    info = mlflow.models.get_model_info(URI)
    assert [spec.name for spec in info.signature.inputs.inputs] == [
        "support_examples", "support_labels", "query_examples",
    ]  # fmt: skip
    assert all(spec.shape == (-1, 1) for spec in info.signature.inputs.inputs)
    place = Path(mlflow.artifacts.download_artifacts(URI))
    required = (place / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in required] == ["mlflow", "torch", "safetensors", "numpy"]
    assert not [path for path in place.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]


def test_a_model_of_pictures_gives_class_numbers(tmp_path: Path) -> None:
    """Classification answers int64 classes, the likeliest of each picture."""
    problem = Problem("classification", (1, 8, 8), 3)
    learner = Learner.build(problem, convnet_settings(), learner_settings(start=(0.5, 0.5), test_steps=3))
    meta = learner.initial(generator(1, "theta"))
    save_checkpoint(tmp_path, learner, meta, {})
    x = torch.rand((3, 1, 8, 8), generator=generator(2, "pictures"))
    labels = torch.arange(3)
    model = AdaptingModel(tmp_path)
    classes = model.predict(
        {"support_examples": x.numpy(), "support_labels": labels.numpy(), "query_examples": x.numpy()}
    )
    expected = learner.predict(learner.adapt(meta, x, labels, 3), x, x).argmax(dim=-1)
    assert classes.dtype == np.int64
    assert classes.tolist() == expected.tolist()


def test_the_served_model_takes_the_learners_own_steps(gate: Gate, tmp_path: Path) -> None:
    """A learner that is tested after three steps serves what three steps give, and one step does not."""
    training = gate.lane.training()
    problem = load_checkpoint(gate.lane.checkpoint())[0].problem
    learner = Learner.build(problem, training.network, replace(training.learner, test_steps=3))
    meta = learner.initial(generator(1, "theta"))
    save_checkpoint(tmp_path, learner, meta, {})
    task = served_task(gate)
    x, y, q = (torch.tensor(value) for value in task.values())
    one, three = (learner.predict(learner.adapt(meta, x, y, steps), q, x).numpy() for steps in (1, 3))
    np.testing.assert_array_equal(AdaptingModel(tmp_path).predict(task), three)
    assert not np.allclose(one, three)


# ---- The gate alone ----


def test_the_gate_by_hand() -> None:
    """Differences 1, 2, 3, 4: mean 2.5, interval ± 2.05426 above zero, whichever way better points."""
    level = np.array([10.0, 20.0, 30.0, 40.0])
    better = level + np.array([1.0, 2.0, 3.0, 4.0])
    win = judge(better, level, higher_is_better=True)
    assert win.wins
    assert win.difference == 2.5
    assert win.ci95 == pytest.approx((0.44574, 4.55426), abs=1e-5)
    assert judge(level, better, higher_is_better=False) == win, "for errors, lower is better"
    loss = judge(level, better, higher_is_better=True)
    assert (loss.wins, loss.difference) == (False, -2.5)
    assert "worse" in loss.reason


def test_the_gate_asks_for_a_clear_difference() -> None:
    """Better on average is not enough: differences -1, 2, 3, 4 have zero within their interval."""
    level = np.zeros(4)
    verdict = judge(np.array([-1.0, 2.0, 3.0, 4.0]), level, higher_is_better=True)
    assert verdict.difference == 2.0
    assert not verdict.wins
    assert "no clear difference" in verdict.reason


def test_the_alias_has_one_name() -> None:
    """What users type after the @ in models:/sinusoid-5shot@champion."""
    assert CHAMPION == "champion"
