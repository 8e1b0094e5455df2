"""Meta-training: repeatable bit for bit, resumable, and it learns."""

import gc
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasgd.engine import compiles, has_compiler
from metasgd.errors import CheckpointError, InputError
from metasgd.evaluation import score
from metasgd.learner import Learner, Meta
from metasgd.loop import Outcome, Point, TrainingDivergedError, pick_device
from metasgd.resume import ResumeFile
from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.tasks.sinusoid import Sinusoid
from metasgd.training import meta_train
from tests.metasgd.oracle import needs_compiler
from tests.metasgd.small import curves, same, sine_learner, sinusoid, start, training_settings

SETTINGS = training_settings()


def validation(learner: Learner, tasks: int = 20) -> Callable[[Meta], float]:
    batch = curves(tasks, seed=7)
    return lambda meta: float(score(learner, meta, batch, 1)[:, -1].mean())


def run(learner: Learner, settings: object = SETTINGS, seed: int = 1, **options: object) -> Outcome:
    return meta_train(learner, sinusoid(), validation(learner), settings, seed, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha", ["per-parameter", "scalar", "fixed", "none"])
def test_one_seed_gives_the_same_bits(alpha: str) -> None:
    """Two runs with one seed agree in theta, alpha and the whole curve; another seed differs."""
    learner = sine_learner(alpha)
    first, again, other = run(learner), run(learner), run(learner, seed=2)
    assert same(first.meta, again.meta)
    assert first.curve == again.curve
    assert not same(first.meta, other.meta)
    assert not first.compiled


@needs_compiler
def test_compiled_training() -> None:
    """Compiled runs of one seed agree bit for bit, and with an eager run to rounding."""
    learner = sine_learner()
    settings = replace(SETTINGS, compile_from=1)
    first, again, eager = run(learner, settings), run(learner, settings), run(learner)
    assert first.compiled
    assert same(first.meta, again.meta)
    assert first.curve == again.curve
    # The meta-gradient is the same to rounding; twelve Adam steps of .01 may widen a last bit a little.
    for compiled, plain in zip(first.meta, eager.meta, strict=True):
        torch.testing.assert_close(dict(compiled), dict(plain), rtol=1e-3, atol=1e-4)
    losses = [[point.values["train_loss"] for point in outcome.curve] for outcome in (first, eager)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_only_declared_iterations_decide_compilation() -> None:
    """Short runs are eager; long ones are compiled where there is a compiler."""
    assert not compiles(replace(SETTINGS, compile_from=13))
    assert compiles(replace(SETTINGS, compile_from=12)) is has_compiler()


def test_no_compiler_means_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C++ compiler on the path a long run is eager, not broken."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not has_compiler()
    assert not run(sine_learner(), replace(SETTINGS, compile_from=1)).compiled


class Interrupted(Exception):  # noqa: N818
    """Stands for a Ctrl-C or a lost machine."""


def interrupt(after: int) -> Callable[[Point], None]:
    """Raises at the first validation from that iteration on."""

    def watch(point: Point) -> None:
        if point.validation is not None and point.iteration >= after:
            raise Interrupted

    return watch


@pytest.mark.parametrize("select", ["best", "last"])
@pytest.mark.parametrize("alpha", ["per-parameter", "fixed"])
def test_resumed_equals_uninterrupted(tmp_path: Path, alpha: str, select: str) -> None:
    """A run that was interrupted twice ends with the bits, the curve and the choice of one that was not."""
    learner = sine_learner(alpha)
    settings = training_settings(select=select)
    whole = run(learner, settings)
    state = ResumeFile(tmp_path / "runs" / "state", "this run")
    for after in (4, 8):
        with pytest.raises(Interrupted):
            run(learner, settings, resume=state, watch=interrupt(after))
    seen: list[Point] = []
    resumed = run(learner, settings, resume=state, watch=seen.append)
    assert same(resumed.meta, whole.meta)
    assert resumed.curve == whole.curve
    assert resumed.iteration == whole.iteration
    assert [point.iteration for point in seen] == [9, 10, 11, 12], "it went on, and did not start anew"


def test_a_finished_run_resumes_to_its_result(tmp_path: Path) -> None:
    """Repeated with its state, a finished run does no work and returns the same."""
    learner = sine_learner()
    state = ResumeFile(tmp_path / "state", "this run")
    first = run(learner, resume=state)
    seen: list[Point] = []
    again = run(learner, resume=state, watch=seen.append)
    assert not seen
    assert same(again.meta, first.meta)
    assert again.curve == first.curve


@pytest.mark.parametrize("damage", ["truncated", "empty", "other bytes"])
def test_a_damaged_resume_file_is_refused(tmp_path: Path, damage: str) -> None:
    """One line that names the file and says what to do; training does not start."""
    learner = sine_learner()
    state = ResumeFile(tmp_path / "state", "this run")
    run(learner, resume=state)
    whole = state.path.read_bytes()
    state.path.write_bytes(
        {"truncated": whole[:-9], "empty": b"", "other bytes": b"not a state" * 20}[damage]
    )
    with pytest.raises(CheckpointError) as caught:
        run(learner, resume=state)
    assert str(state.path) in str(caught.value)
    assert "delete it to start anew" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_resume_file_of_another_run_is_refused(tmp_path: Path) -> None:
    """Other parameters, data or seed: the line names both, and the file is left alone."""
    learner = sine_learner()
    run(learner, resume=ResumeFile(tmp_path / "state", "that run"))
    before = (tmp_path / "state").read_bytes()
    with pytest.raises(CheckpointError, match="state of run that run; expected that of this run") as caught:
        run(learner, resume=ResumeFile(tmp_path / "state", "this run"))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "state").read_bytes() == before


class BreaksAt(Sinusoid):
    """Curves whose values are not numbers from some meta-iteration on."""

    def __init__(self, iteration: int) -> None:
        super().__init__(sinusoid().settings)
        self.__dict__.update(left=iteration)

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        self.__dict__["left"] -= 1
        batch = super().sample(count, generator)
        return batch if self.__dict__["left"] > 0 else batch._replace(query_y=batch.query_y * torch.nan)


def test_divergence_names_the_iteration_and_keeps_the_last_good_outcome() -> None:
    """A loss of NaN at iteration 7 ends the run in one line; the checkpoint of iteration 4 is kept."""
    learner = sine_learner()
    good = run(learner, replace(SETTINGS, iterations=4))
    with pytest.raises(TrainingDivergedError) as caught:
        meta_train(learner, BreaksAt(7), validation(learner), SETTINGS, seed=1)
    assert isinstance(caught.value, InputError)
    assert str(caught.value).startswith("the meta-loss is nan at iteration 7;")
    assert "iteration 4 is kept" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.outcome.iteration == 4
    assert same(caught.value.outcome.meta, good.meta)


def test_divergence_is_named_right_between_the_points_of_the_curve() -> None:
    """With one point per 4 iterations, the iteration named is still the one that broke."""
    settings = training_settings(iterations=400, validate_every=40)
    with pytest.raises(TrainingDivergedError, match=r"nan at iteration 6; .*iteration 0 is kept"):
        meta_train(sine_learner(), BreaksAt(6), lambda meta: 0.0, settings, seed=1)


def test_a_broken_last_update_is_noticed() -> None:
    """A theta that explodes in the last update before a validation is not chosen as the checkpoint."""
    learner = sine_learner()
    settings = training_settings(rate=1e38, iterations=1, select="best")
    try:
        meta = run(learner, settings).meta
    except TrainingDivergedError as error:
        meta = error.outcome.meta
    assert bool(torch.isfinite(score(learner, meta, curves(5), 1)).all())


@pytest.mark.parametrize(("select", "chosen"), [("best", 8), ("last", 12)])
def test_selection_of_the_checkpoint(select: str, chosen: int) -> None:
    """best keeps the checkpoint with the lowest error (iteration 8 of 4, 8, 12), last the last one."""
    learner = sine_learner()
    settings = training_settings(select=select)
    kept: list[Meta] = []

    def validate(meta: Meta) -> float:
        kept.append(Meta(*({name: value.clone() for name, value in part.items()} for part in meta)))
        return [3.0, 1.0, 2.0][len(kept) - 1]

    outcome = meta_train(learner, sinusoid(), validate, settings, seed=1)
    assert outcome.iteration == chosen
    assert same(outcome.meta, kept[chosen // 4 - 1])
    assert [p.validation for p in outcome.curve if p.validation is not None] == [3.0, 1.0, 2.0]


def test_an_equal_score_does_not_replace_the_chosen_checkpoint() -> None:
    """Of equal scores, the first is kept."""
    outcome = meta_train(
        sine_learner(), sinusoid(), lambda meta: 1.0, training_settings(select="best"), seed=1
    )
    assert outcome.iteration == 4


def test_the_last_iteration_is_validated() -> None:
    """Also where validate_every does not divide the iterations: 5, 10, 12."""
    curve = run(sine_learner(), training_settings(validate_every=5)).curve
    assert [p.iteration for p in curve if p.validation is not None] == [5, 10, 12]


def test_untrained_learner_returns_its_start() -> None:
    """trained: false leaves theta and alpha at their random start, and draws no curve."""
    learner = sine_learner("fixed", trained=False)
    outcome = run(learner)
    assert same(outcome.meta, start(learner))
    assert (outcome.iteration, outcome.curve) == (0, [])


def test_meta_sgd_learns_to_adapt_in_one_step() -> None:
    """After 400 iterations the loss is well down, and one step on 5 points beats none by far."""
    learner = sine_learner(hidden=(40, 40))
    settings = training_settings(iterations=400, validate_every=400, rate=0.003, meta_batch=4)
    outcome = run(learner, settings)
    losses = [point.values["train_loss"] for point in outcome.curve]
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
    before, after = score(learner, outcome.meta, curves(200, seed=8), 1).mean(dim=0).tolist()
    untrained = float(score(learner, start(learner), curves(200, seed=8), 1)[:, 1].mean())
    assert after < 0.7 * before
    assert after < 0.7 * untrained


def test_tasks_of_training_are_decided_by_the_seed_alone() -> None:
    """Learners with different alpha meet the same tasks: the stream of tasks is not that of theta."""
    drawn: dict[str, list[Batch]] = {"per-parameter": [], "none": []}

    class Recorded(Sinusoid):
        def sample(self, count: int, generator: torch.Generator) -> Batch:
            batch = super().sample(count, generator)
            drawn[alpha].append(batch)
            return batch

    for alpha in drawn:
        meta_train(sine_learner(alpha), Recorded(sinusoid().settings), lambda meta: 0.0, SETTINGS, seed=1)
    pairs = list(zip(*drawn.values(), strict=True))
    assert len(pairs) == SETTINGS.iterations
    assert all(torch.equal(one.query_y, other.query_y) for one, other in pairs)
    stream = generator(1, "tasks")
    assert torch.equal(pairs[0][0].query_y, sinusoid().sample(SETTINGS.meta_batch, stream).query_y)


def test_device_auto_is_what_there_is() -> None:
    """auto is CUDA where there is any; a name is taken as it is."""
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize("compile_from", [1, 1_000_000])
def test_memory_is_flat(compile_from: int) -> None:
    """No more tensors after thousands of iterations than after a fifth of them, and less than 4 MB more."""
    iterations = 5000 if compile_from == 1 else 2000
    learner = sine_learner()
    seen: dict[int, tuple[int, int]] = {}

    def watch(point: Point) -> None:
        if point.iteration * 5 % iterations == 0:
            gc.collect()
            tensors = sum(issubclass(type(value), torch.Tensor) for value in gc.get_objects())
            seen[point.iteration] = tensors, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    settings = training_settings(
        iterations=iterations, validate_every=iterations // 10, meta_batch=1, compile_from=compile_from
    )
    run(learner, settings, watch=watch)
    (first, first_peak), *_, (last, last_peak) = seen.values()
    assert len(seen) == 5
    assert last <= first, "what a compilation before left may go meanwhile"
    assert last_peak - first_peak < 4096  # KiB
