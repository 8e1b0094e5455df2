"""Scores of single tasks as rows."""

import pandas as pd
import torch
from torch import Tensor


def score_table(name: str, shots: int, scores: Tensor) -> pd.DataFrame:
    """Scores [tasks, steps + 1] of a set, as columns set, shots, task, step, score."""
    tasks, steps = scores.shape
    return pd.DataFrame(
        {
            "set": name,
            "shots": shots,
            "task": torch.arange(tasks).repeat_interleave(steps).numpy(),
            "step": torch.arange(steps).repeat(tasks).numpy(),
            "score": scores.flatten().double().numpy(),
        }
    )
