"""The pictures of one checkpoint: its learning curve, its alpha, and what one step does to sine fits."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from components.episodes import Episodes
from components.parameters import SinusoidTasks
from components.pictures import learning_curve, save, sine_fits
from components.scoring import Trained, draw_alpha
from components.train.step import CURVE
from metasgd.adaptation import Learner, Meta
from metasgd.evaluation import predictions
from metasgd.tasks import Batch

PANELS = 3


def draw_figures(trained: Trained, data: Episodes, folder: Path) -> None:
    """Write the pictures as SVG, and alpha's table as CSV."""
    learner, meta = trained.learner, trained.meta
    curve = pd.read_csv(trained.checkpoint / CURVE)
    if len(curve):
        chosen = trained.about["chosen_iteration"]
        save(learning_curve(curve, learner.objective.metric, chosen), folder / "learning-curve.svg")
    draw_alpha(meta, folder)
    if isinstance(data.tasks, SinusoidTasks):
        save(sine_fits(_fits(learner, meta, data)), folder / "sine-fits.svg")


def _fits(learner: Learner, meta: Meta, data: Episodes) -> list[dict[str, Any]]:
    """Figure 3: some test curves; the last has all its support points on the left half."""
    fixed = {key: value[:PANELS].clone() for key, value in data.fixed["test"].items()}
    fixed["support_x"][-1] = -fixed["support_x"][-1].abs()
    queries = data.tasks.stored.test_queries
    batch = data.distributions["test"].fixed_batch(fixed, data.shots, queries)
    steps = learner.settings.test_steps
    outputs = predictions(learner, meta, batch, steps)[:, [0, -1], :, 0]
    titles = [f"{data.shots} points"] * (PANELS - 1) + [f"{data.shots} points, all on one side"]
    return [_fit(titles[i], Batch(*(tensor[i] for tensor in batch)), outputs[i]) for i in range(PANELS)]


def _fit(title: str, task: Batch, outputs: torch.Tensor) -> dict[str, Any]:
    support_x, support_y, query_x, query_y = (tensor.flatten().tolist() for tensor in task)
    before, after = outputs.tolist()
    return {
        "title": title,
        "support_x": support_x,
        "support_y": support_y,
        "query_x": query_x,
        "truth": query_y,
        "before": before,
        "after": after,
    }
