"""The promote step: every model registered, the champion replaced only on a win."""

import json

import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException

from components.artifacts.checkpoint import load_trained
from components.artifacts.results import Result, read_json
from components.artifacts.runs import RUN
from components.evaluate.step import evaluate
from components.kinds.kind import THREADS, gate_scores, task_set
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.promote.registration import register
from components.tracking.registry import Move, move_champion, moves
from components.tracking.runs import open_run
from metasgd.checkpoint import ABOUT, load_checkpoint, save_checkpoint
from metasgd.errors import InputError
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.own_folder import MARK
from metasgd.seeds import generator
from tests.components.lane import artifacts, experiment, read
from tests.components.promote.contest import BAD, GOOD, MIDDLING, Contest, Gate


def test_without_a_champion_the_first_model_becomes_it(contest: Contest) -> None:
    """Registered as version 1, the alias on it, the move and the decision on record."""
    checkpoint = contest.contender(BAD, seed=1)
    decision = contest.promote(checkpoint)
    assert contest.champion == "1"
    assert (decision.champion_before, decision.champion_after) == (None, "1")
    (comparison,) = decision.comparisons
    assert comparison.wins
    assert (comparison.champion, comparison.mean_difference, comparison.interval) == (None, None, None)
    assert moves(contest.gate.client, contest.name) == [Move(None, "1", "there was no champion")]
    (model,) = decision.versions
    assert (model.algorithm, model.seed, model.version) == ("meta-sgd", 1, "1")
    data = load_tasks(contest.episodes)
    assert decision.task_set == task_set(data, "gate", 5)
    assert not decision.dry_run
    tags = contest.gate.client.get_model_version(contest.name, "1").tags
    assert tags == {"algorithm": "meta-sgd", "seed": "1", "data": data.episodes.manifest.data}
    assert "decision.json" in artifacts(contest.gate.client, read(checkpoint / RUN)["run_id"])


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
    assert comparison.interval is not None
    # After the step they are about 18 and 4.5 away from curves around zero: 18² - 4.5² = 303.75.
    assert 250 < comparison.mean_difference < 350
    assert 0 < comparison.interval[0] < comparison.mean_difference < comparison.interval[1]
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
    assert (comparison.mean_difference, comparison.interval, comparison.wins) == (0.0, (0.0, 0.0), False)
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
    for checkpoint in checkpoints:
        run_id = read(checkpoint / RUN)["run_id"]
        assert not {"decision.json", "model/MLmodel"} & artifacts(contest.gate.client, run_id)


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


def test_all_challengers_meet_one_champion(contest: Contest) -> None:
    """9 steps into the empty place, 3 and 0 are better than that, and 0 wins, which is better by more."""
    checkpoints = [contest.contender(offset, seed) for seed, offset in enumerate((BAD, MIDDLING, GOOD), 1)]
    decision = contest.promote(*checkpoints)
    met = [one.champion and one.champion.seed for one in decision.comparisons]
    assert met == [None, 1, 1]
    assert [one.challenger.seed for one in decision.comparisons] == [1, 2, 3]
    assert [one.wins for one in decision.comparisons] == [True, False, True]
    assert "another challenger by more" in decision.comparisons[1].reason
    assert contest.champion == decision.champion_after == "3"
    assert [move.after for move in moves(contest.gate.client, contest.name)] == ["1", "3"]


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
    data = load_tasks(contest.episodes)
    assert decision.task_set == task_set(data, "gate", 5)
    scores = [
        gate_scores(data, *load_checkpoint(path)[:2]).double()
        for path in (contest.folder / "meta-sgd-1", challenger)
    ]
    assert decision.comparisons[0].mean_difference == pytest.approx(float((scores[0] - scores[1]).mean()))


def test_a_champion_of_an_earlier_version_is_met(contest: Contest) -> None:
    """Without the parameters that came later, in its training and its learner, it defends its place."""
    contest.promote(contest.contender(MIDDLING, seed=1))
    registered = [
        path
        for path in contest.gate.root.rglob(f"data/checkpoint/{ABOUT}")
        if contest.name in path.read_text()
    ]
    for path in registered:
        document = read(path)
        training = document["about"]["training"]
        for section, key in ((document["learner"], "layers"), (training["train"], "alpha_rate")):
            del section[key]
        del training["learner"]["layers"]
        document["about"]["training"] = json.dumps(training)
        path.write_text(json.dumps(document))
        (path.parent / MARK).unlink()  # which came later, too
    assert registered
    decision = contest.promote(contest.contender(BAD, seed=2))
    champion = decision.comparisons[0].champion
    assert champion is not None
    assert (champion.algorithm, champion.seed) == ("meta-sgd", 1)
    assert contest.champion == "1"


def test_gate_scores_decide_their_threads_themselves(gate: Gate) -> None:
    """The order of additions decides the last bits: the gate scores as evaluate did, wherever it runs."""
    learner, meta, _ = load_checkpoint(gate.lane.checkpoint())
    torch.set_num_threads(THREADS + 1)
    gate_scores(load_tasks(gate.lane.episodes), learner, meta)
    assert torch.get_num_threads() == THREADS


def test_a_champion_of_another_problem_is_refused(contest: Contest) -> None:
    """One line names both problems, before anything is compared or moved."""
    training = contest.gate.lane.training()
    other = build_learner(Problem("regression", (2,), 1), training.network, training.learner)
    place = contest.folder / "plane"
    checkpoint = contest.contender(GOOD, seed=1)
    about = load_checkpoint(checkpoint)[2]
    save_checkpoint(place, other, other.initial(generator(1, "theta")), about)
    evaluate([checkpoint], contest.episodes, contest.folder / "results")
    result = read_json(Result, contest.folder / "results" / "meta-sgd-seed1.json")
    with open_run("sinusoid", "plane", {}) as run:
        pass
    trained = load_trained(place, other.problem)
    example = {name: np.zeros((1, 2), np.float32) for name in ("support_examples", "query_examples")}
    example["support_labels"] = np.zeros((1, 1), np.float32)
    number = register(contest.gate.client, run.run_id, trained, result, example)
    move_champion(contest.gate.client, contest.name, Move(None, number, "by the test"))
    with pytest.raises(InputError, match=r"solves .*\(2,\).*expected .*\(1,\)") as caught:
        contest.promote(checkpoint, evaluated=True)
    assert "\n" not in str(caught.value)
    assert contest.champion == number
    assert not (contest.folder / "out").exists()


def test_the_run_of_other_weights_is_not_registered(contest: Contest) -> None:
    """Results of what stood there before: one line, before anything is registered or moved."""
    checkpoint = contest.contender(GOOD, seed=1)
    evaluate([checkpoint], contest.episodes, contest.folder / "results")
    learner, meta, about = load_checkpoint(checkpoint)
    meta.theta["linear1.bias"].add_(1.0)
    save_checkpoint(checkpoint, learner, meta, about)
    (checkpoint / MARK).unlink()
    with pytest.raises(InputError, match=r"runs\.json: no MLflow run of .*: score it here first"):
        contest.promote(checkpoint, evaluated=True)
    assert contest.champion is None


def test_scores_of_other_gate_tasks_are_refused(contest: Contest) -> None:
    """Results from before the episodes were drawn anew: one line, before the registry is touched."""
    checkpoint = contest.contender(GOOD, seed=1)
    evaluate([checkpoint], contest.episodes, contest.folder / "results")
    contest.episodes = contest.folder / "other-episodes"
    preprocess(experiment("tasks.stored.gate=3").tasks, contest.episodes)
    with pytest.raises(InputError, match=r"gate tasks; expected the 3 of .*: score them anew"):
        contest.promote(checkpoint, evaluated=True)
    assert contest.champion is None


def test_scores_on_another_domain_promote_nothing(contest: Contest) -> None:
    """A model that is good at other curves is no candidate: one line, before anything is registered."""
    checkpoint = contest.contender(GOOD, seed=1)
    contest.episodes = contest.folder / "other-episodes"
    preprocess(experiment("tasks.distribution.frequency=[2.0, 3.0]").tasks, contest.episodes)
    evaluate([checkpoint], contest.episodes, contest.folder / "results")
    with pytest.raises(InputError, match=r"was trained on .*; expected scores on tasks of its own"):
        contest.promote(checkpoint, evaluated=True)
    assert contest.champion is None


def test_results_that_are_missing_are_refused(contest: Contest) -> None:
    """One line about the file; nothing is registered."""
    with pytest.raises(InputError, match=r"meta-sgd-seed1\.json: no such file; expected the result"):
        contest.promote(contest.contender(GOOD, seed=1), evaluated=True)
    assert contest.champion is None
