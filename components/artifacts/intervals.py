"""Intervals and tests by Student's t over tasks."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

Scores = Sequence[float] | np.ndarray


def half_width(values: Scores, level: float = 0.95) -> float:
    """Half the width of the mean's interval; 0 for a single value."""
    return standard_error(values) * standard_errors(len(values), level) if len(values) > 1 else 0.0


def standard_error(values: Scores) -> float:
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def standard_errors(count: int, level: float = 0.95) -> float:
    """Half the width of the interval of a mean over `count` values, in standard errors of it."""
    return float(stdtrit(count - 1, 0.5 + level / 2)) if count > 1 else 0.0


def paired_difference(
    challenger: Scores, champion: Scores, level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Mean of challenger - champion, task by task, and its interval (low, high)."""
    differences = np.asarray(challenger, dtype=np.float64) - np.asarray(champion, dtype=np.float64)
    mean, half = float(differences.mean()), half_width(differences, level)
    return mean, (mean - half, mean + half)


def paired_p_value(challenger: Scores, champion: Scores) -> float:
    """Two-sided, of no mean difference. Equal scores on every task give 1. Raises ValueError for one task."""
    differences = np.asarray(challenger, dtype=np.float64) - np.asarray(champion, dtype=np.float64)
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} tasks; expected at least 2")
    mean, error = float(differences.mean()), standard_error(differences)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(len(differences) - 1, -abs(mean) / error))
