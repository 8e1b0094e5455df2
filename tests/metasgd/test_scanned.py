"""Many outer steps in one compiled call: what one after the other gives."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import metasgd
from metasgd.engine import eager_gradient
from metasgd.loop import Outcome, Point
from metasgd.networks import multiplied_out
from metasgd.outer_step import OneByOne, OuterSteps, build_adam, rates
from metasgd.resume import ResumeFile
from metasgd.scanned import Scanned, find_scan, iterations_per_call
from metasgd.seeds import generator
from metasgd.training import meta_train, outer_steps
from tests.metasgd.oracle import needs_compiler
from tests.metasgd.small import curves, same, sine_learner, sinusoid, start, training_settings

CHECKOUT = Path(metasgd.__file__).parents[1]
needs_scan = pytest.mark.skipif(find_scan() is None, reason="this torch has no loop for it")
# Four iterations from point to point of the curve.
SETTINGS = training_settings(iterations=400, validate_every=4, compile_from=1)


@needs_scan
@needs_compiler
def test_scanned_iterations_are_iterations() -> None:
    """theta, alpha, Adam's state and the losses, to rounding, with all that an iteration can have."""
    learner = sine_learner()
    settings = replace(SETTINGS, schedule="cosine", clip=1.0, alpha_rate=0.5)
    assert iterations_per_call(settings) == 4
    batches = [curves(3, seed=seed) for seed in range(8)]

    def outcome(build: Callable[[torch.optim.Adam], OuterSteps]) -> list[torch.Tensor]:
        meta = start(learner)
        adam = build_adam(learner, meta, settings)
        steps = build(adam)
        losses = [
            steps(meta, batches[first : first + 4], rates(adam, settings, range(first, first + 4)))
            for first in (0, 4)
        ]
        learned = learner.learned(meta)
        return [*losses, *learned, *(value for tensor in learned for value in adam.state[tensor].values())]

    one_by_one = outcome(lambda adam: OneByOne(learner, eager_gradient(learner, 0), settings, adam))
    scanned = outcome(lambda adam: Scanned(learner, settings, adam))
    torch.testing.assert_close(scanned, one_by_one, rtol=1e-3, atol=1e-5)


@needs_scan
@needs_compiler
@torch._dynamo.config.patch(recompile_limit=1)
def test_one_process_compiles_any_number_of_trainings() -> None:
    """torch gives up on a function after so many recompilations; those of earlier trainings do not count."""
    for alpha in ("per-parameter", "fixed", "per-parameter"):
        assert meta_train(sine_learner(alpha), sinusoid(), lambda meta: 0.0, SETTINGS, seed=1).compiled


@needs_scan
@needs_compiler
def test_scanned_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Interrupted between two calls, a training ends as one that was not: theta, alpha and the curve."""
    learner, state = sine_learner(), ResumeFile(tmp_path / "state", "this run")
    settings = replace(SETTINGS, select="last")
    adam = build_adam(learner, start(learner), settings)
    assert isinstance(outer_steps(learner, settings, adam, start(learner)), Scanned)

    def interrupt(point: Point) -> None:
        if point.iteration == 200:
            raise InterruptedError

    def run(**options: object) -> Outcome:
        return meta_train(learner, sinusoid(), lambda meta: 0.0, settings, seed=1, **options)  # type: ignore[arg-type]

    whole = run()
    with pytest.raises(InterruptedError):
        run(resume=state, watch=interrupt)
    resumed = run(resume=state)
    assert same(resumed.meta, whole.meta)
    assert resumed.curve == whole.curve


@pytest.mark.parametrize(
    ("iterations", "validate_every", "count"),
    [(60_000, 1000, 200), (20_000, 500, 100), (400, 4, 4), (60_000, 999, 3), (12, 4, 1)],
)
def test_calls_end_where_the_curve_has_points(iterations: int, validate_every: int, count: int) -> None:
    """The most iterations up to 200 that divide a hundredth of the run and the way between validations."""
    assert (
        iterations_per_call(training_settings(iterations=iterations, validate_every=validate_every)) == count
    )


def test_multiplied_out_is_the_matrix_product() -> None:
    """[[1, 2], [3, 4]] @ [[5, 6], [7, 8]] = [[19, 22], [43, 50]]; and with random numbers."""
    product = multiplied_out(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]]))
    assert product.tolist() == [[19.0, 22.0], [43.0, 50.0]]
    noise = generator(1, "matrices")
    x, weight = (torch.randn(shape, generator=noise) for shape in ((5, 40), (40, 7)))
    torch.testing.assert_close(multiplied_out(x, weight), x @ weight)


WITHOUT_SCAN = """
import sys
import torch
sys.modules["torch._higher_order_ops.scan"] = None  # an import of it fails
from metasgd.outer_step import OneByOne, build_adam
from metasgd.training import meta_train, outer_steps
from tests.metasgd.small import sine_learner, sinusoid, start, training_settings
learner = sine_learner()
settings = training_settings(iterations=400, validate_every=4, compile_from=1)
meta = start(learner)
assert isinstance(outer_steps(learner, settings, build_adam(learner, meta, settings), meta), OneByOne)
trained = meta_train(learner, sinusoid(), lambda meta: 0.0, training_settings(), seed=1)
assert (trained.compiled, trained.iteration) == (False, 12)
"""


def test_a_torch_without_the_loop_steps_one_by_one() -> None:
    """torch has it under a private name, which may go: all imports without it, and an eager training runs."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SCAN], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
