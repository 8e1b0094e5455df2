"""The engine's ways to the meta-gradient: compiled or not, in pieces, on several threads."""

import pytest
import torch

from metasgd.engine import chunk_size, compiled_gradient, eager_gradient, in_pieces
from metasgd.meta_gradient import meta_gradient
from metasgd.tasks import Batch
from tests.metasgd.oracle import HALVINGS, by_autograd, close, needs_compiler, pictures_learner
from tests.metasgd.small import as_double, curves, double, same, sine_learner, start


@HALVINGS
@needs_compiler
def test_the_compiled_meta_gradient_of_pictures(halving: str) -> None:
    """What long trainings run, and what short ones do, give plain autograd's result."""
    learner, batch = pictures_learner(halving, blocks=1)
    meta = as_double(start(learner))
    expected = by_autograd(learner, meta, batch, create_graph=True)
    for gradient in (compiled_gradient(learner, 0, threads=1), eager_gradient(learner, 0)):
        close(gradient(meta, batch)[0], expected, 1e-9)


@needs_compiler
def test_threads_do_not_change_a_bit() -> None:
    """Pieces are summed in their order, whichever thread is first; in the first call one of them compiles."""
    learner, batch = sine_learner(), curves(6)
    meta = start(learner)
    alone, shared = (compiled_gradient(learner, chunk=2, threads=threads) for threads in (1, 3))
    expected, loss = alone(meta, batch)
    for _ in range(20):
        found, found_loss = shared(meta, batch)
        assert same(found, expected)
        assert torch.equal(found_loss, loss)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
def test_pieces_of_a_meta_batch_have_its_gradient(chunk: int, steps: int) -> None:
    """Means over pieces of equal size are the mean over all, to rounding."""
    learner = sine_learner(steps=steps)
    meta, batch = as_double(start(learner)), double(curves(6))
    gradients, loss = meta_gradient(learner)(meta, batch)
    found, found_loss = in_pieces(meta_gradient(learner), chunk)(meta, batch)
    close(found, gradients, 1e-12)
    torch.testing.assert_close(found_loss, loss)


@pytest.mark.parametrize(
    ("tasks", "examples", "shape", "chunk"),
    [
        (100, 5, (1,), 100),
        (32, 5, (1, 28, 28), 8),
        (18, 5, (1, 28, 28), 6),
        (32, 20, (1, 28, 28), 2),
        (32, 40, (1, 28, 28), 1),
        (4, 40, (3, 84, 84), 1),
    ],
)
def test_pieces_are_chosen_by_shape(tasks: int, examples: int, shape: tuple[int, ...], chunk: int) -> None:
    """The largest divisor of the tasks with at most 65,536 numbers in their examples; one if none has."""
    x, y = torch.empty((tasks, examples, *shape)), torch.empty((tasks, examples))
    assert chunk_size(Batch(x, y, x, y)) == chunk


@pytest.mark.parametrize(
    ("tasks", "threads", "chunk"), [(32, 2, 8), (16, 2, 8), (8, 2, 4), (6, 4, 6), (3, 2, 3)]
)
def test_every_thread_has_as_many_pieces(tasks: int, threads: int, chunk: int) -> None:
    """Where the tasks can be divided so; eight of these fit at once."""
    x, y = torch.empty((tasks, 5, 1, 28, 28)), torch.empty((tasks, 5))
    assert chunk_size(Batch(x, y, x, y), threads) == chunk
