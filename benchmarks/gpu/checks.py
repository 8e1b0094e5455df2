"""What has to hold on a GPU, as functions of a device, for `benchmarks.gpu.check` and the tests marked `gpu`.

Each returns what it measured, in words, and raises AssertionError where that is not as expected. Tests run
them on the CPU, too: there they compare it with itself.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.engine.ours import batch, learner, settings, start
from benchmarks.engine.workloads import Workload
from benchmarks.gpu.precision import set_precision
from metasgd.captured import Captured, Record, cuda_graph
from metasgd.configuration import EpisodeSettings, NavigationSettings, PolicySettings, TrainingSettings
from metasgd.engine import compiled_gradient, eager_gradient
from metasgd.evaluation import score
from metasgd.learner import Meta, Problem
from metasgd.learner_settings import GradientSettings
from metasgd.learners import build_learner
from metasgd.loop import Outcome, Resume, TrainingState
from metasgd.meta_gradient import MetaGradient
from metasgd.outer_step import OneByOne, build_adam, rates
from metasgd.parallel import ALONE, Workers, joined
from metasgd.policy_adaptation import Environments, Plan, mean_returns
from metasgd.resume import from_bytes, to_bytes
from metasgd.seeds import generator
from metasgd.tasks.images import ClassIndex, ImageEpisodes
from metasgd.tasks.navigation import Navigation
from metasgd.training import meta_train

TOLERANCE = 1e-4  # of a tensor's norm
SMALL = (
    Workload("fully connected", "", tasks=4, shots=5, queries=5, filters=8),
    Workload("strides", "", tasks=2, shots=1, queries=2, ways=3, size=12, filters=8, halving="strides"),
    Workload("pooling", "", tasks=2, shots=1, queries=2, ways=3, size=16, filters=8, halving="pooling"),
)
Check = Callable[[str], str]


def gradients_agree(device: str) -> str:
    """The meta-gradient of single precision is the CPU's, eagerly and compiled."""
    largest = 0.0
    for workload in SMALL:
        found, expected = _gradient(replace(workload, device=device)), _gradient(workload)
        largest = max(largest, _difference(found, expected))
    return _within(largest, "the largest difference of a gradient")


def trainings_agree(device: str) -> str:
    """Losses and scores of six iterations are the CPU's."""
    largest = 0.0
    for workload in SMALL[1:]:
        here, there = (_train(replace(workload, device=where)) for where in ("cpu", device))
        losses, expected = (
            [torch.tensor(point.values["train_loss"]) for point in outcome.curve] for outcome in (there, here)
        )
        largest = max(largest, _difference(losses, expected))
        scores, expected = (_scores(workload, outcome.meta) for outcome in (there, here))
        largest = max(largest, _difference([scores], [expected]))
    return _within(largest, "the largest difference of a loss or score")


def repeated(device: str) -> str:
    """Two trainings of one seed end with the same bits."""
    for workload in SMALL[1:]:
        one, other = (_train(replace(workload, device=device)) for _ in range(2))
        _require_same(one, other)
    return "the same bits"


def resumed(device: str) -> str:
    """A training that was interrupted ends as one that was not, bit for bit."""
    for workload in SMALL[1:]:
        moved, states = replace(workload, device=device), _States(stop=True)
        whole = _train(moved)
        try:
            _train(moved, states)
        except _InterruptedError:
            states.stop = False
        _require_same(_train(moved, states), whole)
    return "the same bits"


def recorded(device: str) -> str:
    """Replays of a CUDA graph are iterations one by one; the CPU calls the iteration in their place."""
    record: Record = cuda_graph if device == "cuda" else lambda iteration: iteration
    largest = 0.0
    for workload in SMALL:
        found, expected = (_steps(replace(workload, device=device), how) for how in (record, None))
        largest = max(largest, _difference(found, expected))
    return _within(largest, "the largest difference of theta or alpha after eight iterations")


def together(device: str) -> str:
    """One process that talks to itself (NCCL on a GPU) trains as one that does not, bit for bit."""
    workload = replace(SMALL[1], device=device)
    alone = _train(workload, captured=False)
    with _torchrun(), joined(device) as workers:
        _require_same(_train(workload, workers=workers), alone)
    return "the same bits"


def policies_agree(device: str) -> str:
    """Returns of policies, before and after a step, are the CPU's."""
    distribution = NavigationSettings(
        kind="navigation", shots=4, queries=4, goal=(-0.5, 0.5), start=(0.0, 0.0), horizon=10,
        speed=0.1, clip=1.0, tolerance=0.01, reward="distance", discount=0.3,
    )  # fmt: skip
    dynamics = Navigation(distribution)
    network = PolicySettings(kind="policy", hidden=(16,), std=1.0, least_std=0.5)
    policy = build_learner(Problem("control", (2,), 2, 0.3), network, _gradient_settings())
    meta = policy.initial(generator(1, "theta"))
    environments = Environments(dynamics, dynamics.sample(8, generator(1, "tasks")))

    def returns(where: str) -> Tensor:
        moved = Meta(*({name: value.to(where) for name, value in part.items()} for part in meta))
        plan = Plan(shots=4, queries=4, steps=1)
        return mean_returns(policy, moved, environments, plan, lambda chunk: generator(chunk, "noise"))

    return _within(_difference([returns(device)], [returns("cpu")]), "the largest difference of returns")


CHECKS: dict[str, Check] = {
    "gradients-agree": gradients_agree,
    "trainings-agree": trainings_agree,
    "repeated": repeated,
    "resumed": resumed,
    "recorded": recorded,
    "together": together,
    "policies-agree": policies_agree,
}


def _gradient_of(workload: Workload) -> MetaGradient:
    """Compiled on a GPU alone: a CPU's compiler takes its time, and has tests of its own."""
    compiled = workload.device == "cuda"
    return compiled_gradient(learner(workload), 0, 1) if compiled else eager_gradient(learner(workload), 0)


def _gradient(workload: Workload) -> list[Tensor]:
    set_precision("float32")
    gradients, loss = _gradient_of(workload)(start(workload), batch(workload))
    return [*gradients.theta.values(), *gradients.alpha.values(), loss]


def _settings(workload: Workload, captured: bool = True) -> TrainingSettings:
    """Long enough to be compiled, and captured, on a GPU alone."""
    long = workload.device == "cuda" and captured
    return replace(
        settings(workload), iterations=6, validate_every=2, select="last", rate=2**-10,
        threads=1, compile_from=1 if long else 7,
    )  # fmt: skip


def _train(
    workload: Workload,
    resume: Resume | None = None,
    workers: Workers = ALONE,
    captured: bool = True,
) -> Outcome:
    set_precision("float32")
    own = learner(workload)
    return meta_train(
        own, _episodes(workload), lambda meta: float(_scores(workload, meta).mean()),
        _settings(workload, captured and not workers.speak), seed=1, resume=resume, workers=workers,
    )  # fmt: skip


def _episodes(workload: Workload) -> ImageEpisodes:
    """Twelve classes of six pictures, on the device."""
    shape = (12 * 6, workload.channels, workload.size, workload.size)
    pictures = torch.randint(0, 256, shape, generator=generator(1, "pictures"), dtype=torch.uint8)
    drawn = EpisodeSettings(ways=workload.ways, shots=workload.shots, queries=workload.queries)
    return ImageEpisodes(drawn, pictures.to(workload.device), ClassIndex.of(torch.full((12,), 6)))


def _scores(workload: Workload, meta: Meta) -> Tensor:
    """[tasks]. By the loss, which moves with every bit; an accuracy of few pictures hardly does."""
    own = learner(workload)
    own = replace(own, objective=replace(own.objective, score=own.objective.loss))
    tasks = _episodes(replace(workload, device="cpu")).sample(5, generator(2, "tasks"))
    return score(own, meta, tasks, 1)[:, 1]


def _steps(workload: Workload, record: Record | None) -> list[Tensor]:
    """theta and alpha after eight iterations, in two calls."""
    set_precision("float32")
    own, meta, chosen = learner(workload), start(workload), settings(workload)
    adam = build_adam(own, meta, chosen)
    one_by_one = OneByOne(own, _gradient_of(workload), chosen, adam)
    steps = Captured(one_by_one, record) if record else one_by_one
    for first in (0, 4):
        steps(meta, [batch(workload)] * 4, rates(adam, chosen, range(first, first + 4)))
    return own.learned(meta)


def _difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest of any tensor, of its norm."""
    pairs = zip(found, expected, strict=True)
    return max(float((one.cpu() - other.cpu()).norm() / other.cpu().norm()) for one, other in pairs)


def _within(found: float, what: str) -> str:
    if not found < TOLERANCE:
        raise AssertionError(f"{what} is {found:.2g}; expected less than {TOLERANCE:g}")
    return f"{what} is {found:.2g}"


def _require_same(one: Outcome, other: Outcome) -> None:
    """theta, alpha and the curve."""
    for mine, theirs in zip(one.meta, other.meta, strict=True):
        for name, value in mine.items():
            if not torch.equal(value, theirs[name]):
                raise AssertionError(f"{name} differs by up to {(value - theirs[name]).abs().max():.2g}")
    if one.curve != other.curve:
        raise AssertionError("the learning curves differ")


class _InterruptedError(Exception):
    pass


class _States:
    """Keeps the last state; stops a training at its fourth iteration, if asked to."""

    def __init__(self, stop: bool) -> None:
        self.content, self.stop = b"", stop

    def save(self, state: TrainingState) -> None:
        self.content = to_bytes(state, "")
        if self.stop and state.iteration == 4:
            raise _InterruptedError

    def restore(self, state: TrainingState) -> None:
        if self.content:
            from_bytes(self.content, "", "the state").restore(state)


def _gradient_settings() -> GradientSettings:
    return GradientSettings(
        kind="gradient", alpha="per-parameter", start=(0.1, 0.1), layers={}, adapts="all", order="second",
        steps=1, test_steps=1, ways=0, trained=True,
    )  # fmt: skip


@contextmanager
def _torchrun() -> Iterator[None]:
    """What `torchrun` tells a single process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "TORCHELASTIC_RUN_ID": "check", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
