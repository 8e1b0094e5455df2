"""Scores of single tasks, of every seed, as the numbers that are published."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from components.artifacts.results import ABLATED
from components.report.estimates import averaged
from pipelines.publishing.record import Number, Worth


def numbers(scores: Mapping[int, pd.DataFrame], first: int | None = None) -> Iterator[Number]:
    """Of every protocol, number of shots and step.

    scores: by seed, in the order in which they are told, with the columns set, shots, task, step, score.
    first: also of the first so many tasks.
    """
    table = _joined(scores)
    for protocol, name in (("published", "test"), ("served", "served")):
        own = table[table["set"] == name]
        for shots, step in own[["shots", "step"]].drop_duplicates().itertuples(index=False):
            rows = own[(own["shots"] == shots) & (own["step"] == step)]
            by_task = rows.pivot(index="task", columns="seed", values="score")[list(scores)]
            for tasks in dict.fromkeys([len(by_task), min(first or len(by_task), len(by_task))]):
                yield Number(protocol, int(shots), int(step), tasks, **_estimated(by_task[:tasks]))


def worth(scores: Mapping[int, pd.DataFrame], step: int, higher_is_better: bool) -> Iterator[Worth]:
    """What alpha is ahead by after `step` inner steps, paired task by task and seed by seed."""
    table = _joined(scores)
    of_gate = table["set"].str.startswith("gate") & (table["step"] == step)
    by_task = table[of_gate].pivot(index="task", columns=["set", "seed"], values="score")
    sign = 1 if higher_is_better else -1
    for name in dict.fromkeys(by_task.columns.get_level_values("set")):
        if name.startswith(ABLATED):
            ahead = sign * (by_task["gate"] - by_task[name])[list(scores)]
            yield Worth(name.removeprefix(ABLATED), **_estimated(ahead))


def _joined(scores: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([table.assign(seed=seed) for seed, table in scores.items()])


def _estimated(by_task: pd.DataFrame) -> dict[str, Any]:
    """Of scores [tasks, seeds]: what Number and Worth say of them."""
    found = averaged(by_task)
    by_seed = by_task.mean(axis=0, skipna=False).tolist()
    return {"mean": found.mean, "over_tasks": found.ci95, "over_seeds": found.over_seeds, "by_seed": by_seed}
