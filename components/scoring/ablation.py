"""What a learned alpha is worth, on the gate tasks: the scores with less of it, paired task by task."""

from collections.abc import Iterator

import pandas as pd

from components.artifacts.checkpoint import Trained
from components.artifacts.intervals import half_width
from components.artifacts.results import ABLATED, Ablation
from components.kinds.kind import Kind
from components.scoring.tables import score_table
from metasgd.ablation import ablations


def ablated_scores(trained: Trained, tasks: Kind) -> Iterator[pd.DataFrame]:
    """A set for every ablation: after adaptation, as served."""
    learner, shots = trained.learner, tasks.parameters.reported_shots
    for name, meta in ablations(learner, trained.meta, trained.about.training.seed).items():
        table = score_table(f"{ABLATED}{name}", shots, tasks.scores(learner.served, meta, "gate", shots))
        yield table[table["step"] == learner.settings.test_steps]


def worth(scores: pd.DataFrame, steps: int, higher_is_better: bool) -> list[Ablation]:
    """scores: of every set. steps: the inner steps after which the learner is scored."""
    after = scores[scores["step"] == steps].set_index("task")
    learned = after.loc[after["set"] == "gate", "score"]
    sign = 1 if higher_is_better else -1
    found = []
    for name in after.loc[after["set"].str.startswith(ABLATED), "set"].unique():
        ablated = after.loc[after["set"] == name, "score"]
        ahead = (sign * (learned - ablated)).to_numpy()
        mean, label = float(ablated.mean()), name.removeprefix(ABLATED)
        found.append(Ablation(label, mean, float(ahead.mean()), half_width(ahead)))
    return found
