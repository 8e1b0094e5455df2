"""Intervals: 95 % confidence by Student's t over tasks."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second to import


def half_width(values: Sequence[float] | np.ndarray) -> float:
    """Half the width of the mean's 95 % interval; 0 for a single value."""
    count = len(values)
    return float(np.std(values, ddof=1)) / math.sqrt(count) * standard_errors(count) if count > 1 else 0.0


def standard_errors(count: int) -> float:
    """Half the width of the 95 % interval of a mean over `count` values, in standard errors of it."""
    return float(stdtrit(count - 1, 0.975)) if count > 1 else 0.0


def paired_difference(
    challenger: Sequence[float] | np.ndarray, champion: Sequence[float] | np.ndarray
) -> tuple[float, tuple[float, float]]:
    """Mean of challenger - champion, task by task, and its 95 % interval (low, high)."""
    differences = np.asarray(challenger, dtype=np.float64) - np.asarray(champion, dtype=np.float64)
    mean, half = float(differences.mean()), half_width(differences)
    return mean, (mean - half, mean + half)
