"""Drive every checkpoint of a control lane through the stored gate and test tasks, and draw its pictures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from components.episodes import Episodes
from components.rollout.figures import draw_figures, draw_lane
from components.rollout.travels import save_travels, scored_steps, travels_of
from components.scoring import THREADS, Trained, score_lane, score_table
from metasgd.adaptation import Learner, Meta
from metasgd.policy_adaptation import mean_returns


def rollout(checkpoints: Sequence[Path], episodes: Path, output: Path) -> None:
    """Write the results folder (see components.scoring), and some trajectories of every checkpoint
    as trajectories/<algorithm>-seed<seed>.safetensors (see components.rollout.travels).

    Raises InputError for a checkpoint that is damaged or was trained for another kind of task.
    """
    score_lane(checkpoints, episodes, output, Driver())


class Driver:
    """Scores by returns. Implements `components.scoring.Judge`."""

    def scores(self, learner: Learner, meta: Meta, data: Episodes) -> pd.DataFrame:
        sets = [("gate", data.shots, learner.settings.test_steps)]
        sets += [("test", shots, scored_steps(learner, data)) for shots in data.tasks.stored.test_shots]
        tables = [
            score_table(name, shots, _returns(learner, meta, data, name, shots, steps))
            for name, shots, steps in sets
        ]
        return pd.concat(tables, ignore_index=True)

    def draw(self, trained: Trained, data: Episodes, folder: Path) -> None:
        draw_figures(trained, folder)

    def draw_lane(self, lane: Sequence[Trained], episodes: Path, data: Episodes, folder: Path) -> list[Path]:
        travels = {trained.name: travels_of(trained, data) for trained in lane}
        for name, tensors in travels.items():
            save_travels(tensors, folder / "trajectories" / f"{name}.safetensors")
        return draw_lane(lane, travels, folder / "pictures")


def gate_returns(learner: Learner, meta: Meta, data: Episodes) -> Tensor:
    """Mean returns [tasks] on the gate tasks after the learner's own number of test steps."""
    return _returns(learner, meta, data, "gate", data.shots, learner.settings.test_steps)[:, -1]


def _returns(learner: Learner, meta: Meta, data: Episodes, name: str, shots: int, steps: int) -> Tensor:
    """Mean returns [tasks, steps + 1] on the stored tasks of one set."""
    torch.set_num_threads(THREADS)
    return mean_returns(
        learner,
        meta,
        data.control,
        data.fixed[name],
        data.noise(name),
        shots=shots,
        queries=data.tasks.stored.test_queries,
        steps=steps,
    )
