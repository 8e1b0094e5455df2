"""Meta-training by trust-region steps: its bounds, repeatable bit for bit, resumed exactly, and it learns."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metasgd.errors import InputError
from metasgd.learner import Learner, Meta
from metasgd.loop import Outcome, Point, TrainingDivergedError, scheduled
from metasgd.policy_adaptation import Environments, Plan, mean_returns
from metasgd.reinforcement import meta_train_policy
from metasgd.resume import ResumeFile
from metasgd.rollouts import Tasks
from metasgd.seeds import generator
from metasgd.tasks.navigation import Navigation
from tests.metasgd.small import ALPHAS, navigation, policy_learner, same, start, trpo_settings

DYNAMICS = navigation(horizon=5, goal=(-0.3, 0.3), tolerance=0.1)
SETTINGS = trpo_settings()


def numbered(meta: Meta) -> float:
    """Some number that theta decides."""
    return float(sum(value.sum() for value in meta.theta.values()))


def run(learner: Learner, settings: Any = SETTINGS, seed: int = 1, **options: Any) -> Outcome:
    return meta_train_policy(
        learner, DYNAMICS, numbered, settings, seed, **({"shots": 4, "queries": 4} | options)
    )


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_iteration_stays_within_the_kl(schedule: str) -> None:
    """Of its schedule; and most move. Returns are such as five steps on this plane can earn."""
    settings = trpo_settings(iterations=10, validate_every=10, schedule=schedule)
    points = run(policy_learner(), settings).curve
    assert [point.iteration for point in points] == list(range(1, 11))
    for point in points:
        assert 0 <= point.values["kl"] <= 0.01 * scheduled(settings, point.iteration - 1)
        for name in ("return_before", "return_after"):
            assert -5 < point.values[name] < 0 < point.values[f"{name}_sem"]
    assert sum(point.values["accepted"] for point in points) > 5


def test_points_are_means_over_the_iterations_since_the_last_one() -> None:
    """One point for two iterations: the means of what two points say."""
    apart = run(policy_learner(), trpo_settings(iterations=2)).curve
    settings = trpo_settings(iterations=200, validate_every=200)
    seen: list[Point] = []

    def stop(point: Point) -> None:
        seen.append(point)
        raise Interrupted

    with pytest.raises(Interrupted):
        run(policy_learner(), settings, watch=stop)
    assert seen[0].iteration == 2
    for name, value in seen[0].values.items():
        assert value == pytest.approx(sum(point.values[name] for point in apart) / 2), name


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("order", ["second", "first"])
def test_who_moves_alpha(alpha: str, order: str) -> None:
    """Meta-SGD moves the rates of the log standard deviations with the rest; MAML's stays as it is."""
    learner = policy_learner(alpha, order=order)
    began, ended = start(learner), run(learner).meta
    assert ended.theta.keys() == began.theta.keys()
    assert not torch.equal(ended.theta["log_std"], began.theta["log_std"])
    for name, value in ended.alpha.items():
        moved = value != began.alpha[name]
        assert bool(moved.any()) is (alpha != "fixed"), name
    if alpha == "per-parameter":
        assert (ended.alpha["log_std"] != began.alpha["log_std"]).all()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_one_seed_gives_the_same_bits(alpha: str) -> None:
    """Two runs with one seed agree in theta, alpha and the whole curve; another seed differs."""
    learner = policy_learner(alpha, steps=2)
    first, again, other = run(learner), run(learner), run(learner, seed=2)
    assert same(first.meta, again.meta)
    assert first.curve == again.curve
    assert not same(first.meta, other.meta)


class Interrupted(Exception):  # noqa: N818
    """Stands for a Ctrl-C or a lost machine."""


@pytest.mark.parametrize("select", ["best", "last"])
@pytest.mark.parametrize("alpha", ["per-parameter", "fixed"])
def test_resumed_equals_uninterrupted(tmp_path: Path, alpha: str, select: str) -> None:
    """A run that was interrupted twice ends with the bits, the curve and the choice of one that was not."""
    learner, settings = policy_learner(alpha), trpo_settings(select=select)
    whole = run(learner, settings)
    state = ResumeFile(tmp_path / "state", "this run")
    for after in (2, 4):

        def watch(point: Point, after: int = after) -> None:
            if point.iteration >= after:
                raise Interrupted

        with pytest.raises(Interrupted):
            run(learner, settings, resume=state, watch=watch)
    seen: list[Point] = []
    resumed = run(learner, settings, resume=state, watch=seen.append)
    assert same(resumed.meta, whole.meta)
    assert resumed.curve == whole.curve
    assert resumed.iteration == whole.iteration
    assert [point.iteration for point in seen] == [5, 6], "it went on, and did not start anew"


def test_learners_meet_the_same_tasks() -> None:
    """Drawn by the seed alone, whatever a learner's alpha does to its policy."""
    drawn: dict[str, list[Tensor]] = {"per-parameter": [], "none": []}

    class Recorded(Navigation):
        def sample(self, count: int, generator: torch.Generator) -> Tasks:
            tasks = super().sample(count, generator)
            drawn[alpha].append(tasks["goal"])
            return tasks

    for alpha in drawn:
        dynamics = Recorded(DYNAMICS.settings)
        meta_train_policy(policy_learner(alpha), dynamics, numbered, SETTINGS, 1, shots=4, queries=4)
    assert len(drawn["none"]) == SETTINGS.iterations
    assert all(map(torch.equal, *drawn.values()))


def test_a_refused_step_leaves_everything_as_it_was() -> None:
    """Far too wide a step, tried once: the line search refuses it, and the curve says so."""
    learner = policy_learner()
    outcome = run(learner, trpo_settings(max_kl=1e9, backtracks=1, iterations=2))
    assert same(outcome.meta, start(learner))
    assert [point.values["accepted"] for point in outcome.curve] == [0.0, 0.0]
    assert [point.values["kl"] for point in outcome.curve] == [0.0, 0.0]


def test_untrained_learner_returns_its_start() -> None:
    """trained: false leaves theta and alpha at their random start, and draws no curve."""
    learner = policy_learner("fixed", trained=False)
    outcome = run(learner)
    assert same(outcome.meta, start(learner))
    assert (outcome.iteration, outcome.curve) == (0, [])


@pytest.mark.parametrize(("select", "chosen"), [("best", 4), ("last", 6)])
def test_selection_of_the_checkpoint(select: str, chosen: int) -> None:
    """best keeps the one with the highest return (iteration 4 of 2, 4, 6), last the last one."""
    scores = iter([-3.0, -1.0, -2.0])
    outcome = meta_train_policy(
        policy_learner(), DYNAMICS, lambda meta: next(scores), trpo_settings(select=select), 1,
        shots=4, queries=4,
    )  # fmt: skip
    assert outcome.iteration == chosen


def test_a_meta_batch_of_one_task() -> None:
    """Has a mean return, and no error of it that is no number."""
    point = run(policy_learner(), trpo_settings(meta_batch=1, iterations=1)).curve[0]
    assert all(math.isfinite(value) for value in point.values.values())
    assert point.values["return_after_sem"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": 0}, {"meta_batch": 0}, {"discount": 1.1}, {"decay": -0.1}, {"max_kl": 0.0},
        {"conjugate_gradients": 0}, {"fisher_trajectories": 0}, {"damping": -1.0}, {"backtracks": 0},
        {"backtrack_ratio": 1.0}, {"validate_every": 0}, {"threads": 0},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    """The line names the key."""
    with pytest.raises(ValueError, match=next(iter(change))):
        trpo_settings(**change)


class BreaksAt(Navigation):
    """Goals that are no numbers from some meta-iteration on."""

    def __init__(self, iteration: int) -> None:
        super().__init__(DYNAMICS.settings)
        self.__dict__.update(left=iteration)

    def sample(self, count: int, generator: torch.Generator) -> Tasks:
        self.__dict__["left"] -= 1
        tasks = super().sample(count, generator)
        return tasks if self.__dict__["left"] > 0 else {**tasks, "goal": tasks["goal"] * math.nan}


def test_divergence_names_the_iteration_and_keeps_the_last_good_outcome() -> None:
    """Returns of NaN at iteration 5 end the run in one line; the checkpoint of iteration 4 is kept."""
    learner = policy_learner()
    good = run(learner, trpo_settings(iterations=4))
    with pytest.raises(TrainingDivergedError) as caught:
        meta_train_policy(learner, BreaksAt(5), numbered, SETTINGS, 1, shots=4, queries=4)
    message = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert "nan at iteration 5;" in message
    assert "iteration 4 is kept" in message
    assert "train.max_kl" in message
    assert "\n" not in message
    assert caught.value.outcome.iteration == 4
    assert same(caught.value.outcome.meta, good.meta)


def test_a_validation_score_that_is_no_number_ends_the_run() -> None:
    """The last good checkpoint is kept."""
    scores = iter([-1.0, math.nan])
    with pytest.raises(TrainingDivergedError, match=r"validation score is nan at iteration 4; .*iteration 2"):
        meta_train_policy(
            policy_learner(), DYNAMICS, lambda meta: next(scores), SETTINGS, 1, shots=4, queries=4
        )


def adapted_return(learner: Learner, meta: Meta, dynamics: Navigation, steps: int = 1) -> Sequence[float]:
    """Mean returns of 100 tasks before adaptation and after each step."""
    tasks = dynamics.sample(100, generator(9, "tasks"))
    environments, plan = Environments(dynamics, tasks), Plan(shots=10, queries=5, steps=steps)
    found = mean_returns(learner, meta, environments, plan, lambda chunk: generator(9, f"noise {chunk}"))
    return found.mean(dim=0).tolist()


@pytest.mark.parametrize(
    ("alpha", "order"), [("per-parameter", "second"), ("per-parameter", "first"), ("fixed", "second")]
)
def test_it_learns_to_adapt(alpha: str, order: str) -> None:
    """Ten steps to goals nearby: after ten iterations one inner step earns far more than none or untrained.

    Standing still earns -3.8; a random start about -4.1, before its step and after.
    """
    dynamics, learner = navigation(horizon=10), policy_learner(alpha, hidden=(16,), order=order)
    settings = trpo_settings(iterations=12, validate_every=12, meta_batch=10, max_kl=0.05)
    meta = meta_train_policy(learner, dynamics, lambda meta: 0.0, settings, 1, shots=10, queries=10).meta
    before, after = adapted_return(learner, meta, dynamics)
    _, untrained = adapted_return(learner, start(learner), dynamics)
    assert after > before + 1
    assert after > untrained + 1
