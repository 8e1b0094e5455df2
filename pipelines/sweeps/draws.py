"""Points of a space, drawn by Optuna.

All of them are drawn before the first training, by a quasi-random sampler: it spreads points evenly and needs
no scores. So the pipeline is compiled once, as any other, and is the same on this machine and on Kubeflow,
with all trainings side by side. A sampler that learns from scores, as TPE does, would have to wait for them.
"""

import warnings

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning

from metasgd.errors import InputError
from pipelines.sweeps.space import Axis, Point, Space, to_text

SEED = 1  # of the sampler: the same space gives the same points, and more trials continue them
DRAWS = 100  # for each point, at most: most draws of a small space are of points that it had
DIGITS = 3  # of a number drawn from a range


def drawn(space: Space, count: int) -> list[Point]:
    """So many different points of the space. Raises InputError where it seems to have fewer."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = optuna.samplers.QMCSampler(scramble=True, seed=SEED)
    study = optuna.create_study(sampler=sampler)
    distributions = {axis.key: _distribution(axis) for axis in space.axes}
    points: dict[Point, None] = {}
    for _ in range(DRAWS * count):
        trial = study.ask(distributions)
        study.tell(trial, 0.0)  # what it scores decides nothing
        points[tuple(_override(axis, trial.params[axis.key]) for axis in space.axes)] = None
        if len(points) == count:
            return list(points)
    raise InputError(
        f"TRIALS is {count}; expected fewer: OVER has hardly more than {len(points)} different points"
    )


def _distribution(axis: Axis) -> BaseDistribution:
    """A range above zero is drawn on a logarithmic scale."""
    if axis.limits is None:
        return CategoricalDistribution([to_text(value) for value in axis.values])
    low, high = axis.limits
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=low > 0)
    return FloatDistribution(low, high, log=low > 0)


def _override(axis: Axis, value: str | float) -> str:
    if isinstance(value, str) or axis.limits is None:
        return f"{axis.key}={value}"
    low, high = axis.limits
    return axis.override(
        value if isinstance(value, int) else min(max(float(f"{value:.{DIGITS}g}"), low), high)
    )
