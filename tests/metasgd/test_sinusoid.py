"""Sine tasks: y = A sin(w x + b), every task its own curve and points."""

import math

import pytest
import torch

from metasgd.seeds import generator
from tests.metasgd.small import sinusoid


def test_phase_is_a_phase() -> None:
    """y = A sin(w x + b): amplitude outside, frequency on x, phase added; by one curve's numbers."""
    curve = sinusoid(amplitude=(2.0, 2.0), frequency=(1.1, 1.1), phase=(0.5, 0.5))
    batch = curve.sample(3, generator(1, "tasks"))
    for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        expected = [2 * math.sin(1.1 * point + 0.5) for point in x.flatten().tolist()]
        assert y.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_stored_curves_decide_the_examples() -> None:
    """Columns of a stored curve are amplitude, frequency and phase, for support and query points alike."""
    distribution = sinusoid()
    stored = distribution.draw_stored(6, 5, 100, generator(1, "tasks"))
    batch = distribution.stored_batch(stored, 5, 100)
    for task, (amplitude, frequency, phase) in enumerate(stored["curves"].tolist()):
        for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
            expected = [amplitude * math.sin(frequency * p + phase) for p in x[task].flatten().tolist()]
            assert y[task].flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_parameters_fill_their_ranges() -> None:
    """Amplitude, frequency, phase and x are uniform in their ranges: of 4,000 tasks, means and ends."""
    stored = sinusoid().draw_stored(4000, 5, 10, generator(1, "tasks"))
    values = [*stored["curves"].T, stored["support_x"].flatten()]
    ranges = [(0.1, 5.0), (0.8, 1.2), (0.0, math.pi), (-5.0, 5.0)]
    for value, (low, high) in zip(values, ranges, strict=True):
        width = high - low
        # 4,000 uniform draws: the mean's deviation is .0046 of the width.
        assert float(value.mean()) == pytest.approx((low + high) / 2, abs=0.02 * width)
        assert low <= float(value.min()) < low + 0.01 * width
        assert high - 0.01 * width < float(value.max()) <= high + 1e-6


def test_parameters_are_drawn_one_by_one() -> None:
    """No parameter of a curve tells another."""
    curves = sinusoid().draw_stored(4000, 1, 1, generator(1, "tasks"))["curves"]
    correlations = torch.corrcoef(curves.T) - torch.eye(3)
    assert float(correlations.abs().max()) < 0.06


def test_support_and_query_counts() -> None:
    """K points to adapt on and Q that score, one number each."""
    batch = sinusoid(shots=4, queries=7).sample(3, generator(1, "tasks"))
    assert [tuple(value.shape) for value in batch] == [(3, 4, 1), (3, 4, 1), (3, 7, 1), (3, 7, 1)]
    assert len({*batch.support_x.flatten().tolist(), *batch.query_x.flatten().tolist()}) == 33


def test_tasks_are_new_every_time_and_decided_by_the_seed() -> None:
    """Not drawn once from a fixed pool; the same seed gives the same tasks, another one others."""
    distribution = sinusoid()
    stream, again, other = (generator(seed, "tasks") for seed in (1, 1, 2))
    first, second = distribution.sample(4, stream), distribution.sample(4, stream)
    assert not {*first.query_x.flatten().tolist()} & {*second.query_x.flatten().tolist()}
    assert all(map(torch.equal, first, distribution.sample(4, again)))
    assert not torch.equal(first.query_y, distribution.sample(4, other).query_y)


def test_purposes_have_streams_of_their_own() -> None:
    """Validation tasks are not the training tasks of the same seed."""
    distribution = sinusoid()
    streams = [generator(1, purpose) for purpose in ("tasks", "theta", "validation tasks", "gate tasks")]
    amplitudes = [distribution.draw_stored(3, 1, 1, stream)["curves"].flatten() for stream in streams]
    assert len(torch.cat(amplitudes).unique()) == 4 * 9


def test_fewer_shots_are_the_first_ones() -> None:
    """One stored task serves every number of shots, and the points that score it stay the same."""
    distribution = sinusoid()
    stored = distribution.draw_stored(3, 20, 50, generator(1, "tasks"))
    few, many = (distribution.stored_batch(stored, shots, 50) for shots in (5, 20))
    assert few.support_x.shape[1] == 5
    assert many.support_x.shape[1] == 20
    assert torch.equal(few.support_x, many.support_x[:, :5])
    assert torch.equal(few.query_y, many.query_y)


def test_stored_curves_are_scored_on_evenly_spaced_points() -> None:
    """From end to end of the interval: -5, -2.5, 0, 2.5, 5."""
    distribution = sinusoid()
    batch = distribution.stored_batch(distribution.draw_stored(2, 5, 5, generator(1, "tasks")), 5, 5)
    assert batch.query_x.squeeze(-1).tolist() == [[-5.0, -2.5, 0.0, 2.5, 5.0]] * 2


def test_more_shots_than_stored_are_refused() -> None:
    """A task that was stored with 5 points cannot be scored as a 10-shot task."""
    distribution = sinusoid()
    stored = distribution.draw_stored(2, 5, 5, generator(1, "tasks"))
    with pytest.raises(ValueError, match="10"):
        distribution.stored_batch(stored, 10, 5)
