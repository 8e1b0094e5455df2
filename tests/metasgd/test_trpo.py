"""The trust-region step, on matrices that are small enough to be inverted."""

import math

import pytest
import torch
from torch import Tensor

from metasgd.seeds import generator
from metasgd.trpo import conjugate_gradient, jacobian, line_search, natural_step


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "numbers"), dtype=torch.float64)


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def positive_definite(size: int) -> Tensor:
    root = numbers(size, size)
    return root @ root.T + torch.eye(size, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_conjugate_gradients_end_after_as_many_iterations_as_there_are_unknowns(size: int) -> None:
    """In exact arithmetic; here to rounding."""
    matrix, b = positive_definite(size), numbers(size, seed=2)
    x, image = conjugate_gradient(lambda x: matrix @ x, b, size, tolerance=0.0)
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(image, b)


def test_conjugate_gradients_by_hand() -> None:
    """diag(2, 1) x = (2, 2): from zero the first length is 8 / 12, the second iteration ends at (1, 2).

    Stopped after the first, the product is that of where it stands: (8, 4) / 3.
    """
    matrix, b = torch.diag(vector(2, 1)), vector(2, 2)
    (first, image), (second, b_again) = (
        conjugate_gradient(lambda x: matrix @ x, b, count) for count in (1, 2)
    )
    assert first.tolist() == pytest.approx([4 / 3, 4 / 3])
    assert image.tolist() == pytest.approx([8 / 3, 4 / 3])
    assert second.tolist() == pytest.approx([1.0, 2.0])
    assert b_again.tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("iterations", [0, 1, 3, 5])
def test_the_product_is_known_where_conjugate_gradients_were_stopped(iterations: int) -> None:
    """Without computing it anew."""
    matrix, b = positive_definite(7), numbers(7, seed=2)
    x, image = conjugate_gradient(lambda x: matrix @ x, b, iterations)
    torch.testing.assert_close(image, matrix @ x)


def test_conjugate_gradients_stop_where_nothing_is_left() -> None:
    """A zero right-hand side costs no product, and divides by no zero."""
    products: list[Tensor] = []

    def product(x: Tensor) -> Tensor:
        products.append(x)
        return x

    assert [part.tolist() for part in conjugate_gradient(product, vector(0, 0), 10)] == [[0, 0], [0, 0]]
    assert not products
    conjugate_gradient(product, vector(3, 4), 10)
    assert len(products) == 1, "the identity is solved at once"


def test_jacobian_products_are_those_of_the_whole_matrix() -> None:
    """From three numbers to a matrix of 2 x 2: the value, J v and J^T u."""
    weights = numbers(4, 3)

    def function(x: Tensor) -> Tensor:
        return (weights @ x).sin().view(2, 2) * x.exp().sum()

    x = numbers(3, seed=2).requires_grad_()
    value, jvp, vjp = jacobian(function, x)
    whole = torch.autograd.functional.jacobian(function, x.detach())
    v, u = numbers(3, seed=3), numbers(2, 2, seed=4)
    torch.testing.assert_close(value, function(x).detach())
    assert not value.requires_grad
    for _ in range(2):  # the graph serves again
        torch.testing.assert_close(jvp(v), whole @ v)
        torch.testing.assert_close(vjp(u), torch.einsum("ijk,ij->k", whole, u))


def test_natural_step_by_hand() -> None:
    """Metric diag(4, 1), gradient (4, 1): down (1, 1), whose square is 5, to a KL of 0.1."""
    matrix = torch.diag(vector(4, 1))
    step = natural_step(lambda x: matrix @ x, vector(4, 1), 0.1, iterations=2)
    assert step.tolist() == pytest.approx([-0.2, -0.2])  # sqrt(2 * 0.1 / 5)


@pytest.mark.parametrize("iterations", [1, 3, 6])
def test_natural_step_has_the_length_of_the_kl(iterations: int) -> None:
    """Half its square in the metric, also where conjugate gradients were stopped early; and it goes down."""
    matrix, gradient = positive_definite(6), numbers(6, seed=2)
    step = natural_step(lambda x: matrix @ x, gradient, 0.01, iterations)
    assert float(0.5 * step @ matrix @ step) == pytest.approx(0.01)
    assert float(step @ gradient) < 0


def test_no_gradient_gives_no_step() -> None:
    """Zero, not 0 / 0."""
    assert natural_step(lambda x: x, vector(0, 0), 0.01, 10).tolist() == [0.0, 0.0]


def bowl(step: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest at 1; the KL is the square of the way."""
    return (step - 1).square().sum(), step.square().sum()


@pytest.mark.parametrize(
    ("first", "max_kl", "accepted", "trials", "loss"),
    [
        (1.0, 4.0, 1.0, 1, 0.0),  # at once
        (1.5, 1.0, 0.75, 2, 0.0625),  # 1.5 diverges by 2.25
        (8.0, 100.0, 1.0, 4, 0.0),  # 8, 4 and 2 are not better than where it stands
        (8.0, 0.3, 0.5, 5, 0.25),
    ],
)
def test_line_search_shrinks_until_a_step_will_do(
    first: float, max_kl: float, accepted: float, trials: int, loss: float
) -> None:
    """Halving, the longest step that lowers the loss of 1 within the KL constraint."""
    found = line_search(bowl, vector(first), 1.0, max_kl, backtracks=6, backtrack_ratio=0.5)
    assert found.accepted
    assert (found.step.tolist(), found.trials) == ([accepted], trials)
    assert (found.loss, found.kl) == pytest.approx((loss, accepted**2))


def test_line_search_refuses() -> None:
    """Where no step of so many will do, it stands still, at the loss where it began."""
    for first, trials in ((-1.0, 5), (8.0, 3)):
        found = line_search(bowl, vector(first), 1.0, 100.0, trials, backtrack_ratio=0.5)
        assert not found.accepted
        assert (found.step.tolist(), found.trials) == ([0.0], trials)
        assert (found.loss, found.kl) == (1.0, 0.0)


def test_line_search_takes_no_step_that_is_no_number() -> None:
    """A loss or a KL of NaN is not lower."""
    nan = torch.tensor(math.nan)
    for broken in ((nan, torch.tensor(0.0)), (torch.tensor(0.0), nan)):
        assert not line_search(lambda step, at=broken: at, vector(1), 1.0, 1.0, 3, 0.5).accepted
