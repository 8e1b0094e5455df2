"""Score every checkpoint of a supervised lane on the stored gate and test tasks, and draw its pictures."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from components.episodes import Episodes
from components.evaluate.figures import draw_figures
from components.scoring import THREADS, Trained, score_lane, score_table
from metasgd.adaptation import Learner, Meta
from metasgd.evaluation import score

SHEET = "contact-sheet.png"


def evaluate(checkpoints: Sequence[Path], episodes: Path, output: Path) -> None:
    """Write the results folder (see components.scoring).

    Raises InputError for a checkpoint that is damaged or was trained for another kind of task.
    """
    score_lane(checkpoints, episodes, output, Examiner())


class Examiner:
    """Scores by examples. Implements `components.scoring.Judge`."""

    def scores(self, learner: Learner, meta: Meta, data: Episodes) -> pd.DataFrame:
        sets = [("gate", data.shots), *(("test", shots) for shots in data.tasks.stored.test_shots)]
        tables = [score_table(name, shots, _scores(learner, meta, data, name, shots)) for name, shots in sets]
        return pd.concat(tables, ignore_index=True)

    def draw(self, trained: Trained, data: Episodes, folder: Path) -> None:
        draw_figures(trained, data, folder)

    def draw_lane(self, lane: Sequence[Trained], episodes: Path, data: Episodes, folder: Path) -> list[Path]:
        if not (episodes / SHEET).exists():
            return []
        return [Path(shutil.copy(episodes / SHEET, folder / "pictures" / SHEET))]


def gate_scores(learner: Learner, meta: Meta, data: Episodes) -> Tensor:
    """Scores [tasks] on the gate tasks after the learner's own number of test steps."""
    return _scores(learner, meta, data, "gate", data.shots)[:, -1]


def _scores(learner: Learner, meta: Meta, data: Episodes, name: str, shots: int) -> Tensor:
    """Scores [tasks, steps + 1] of one set."""
    torch.set_num_threads(THREADS)
    return score(learner, meta, data.batch(name, shots), learner.settings.test_steps)
