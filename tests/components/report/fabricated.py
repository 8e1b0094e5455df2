"""Results and decisions as the evaluate and promote steps write them, made up for the tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def result(algorithm: str, seed: int, **changes: Any) -> dict[str, Any]:
    """The JSON of one algorithm and seed: 4.0 before adaptation, 0.9 ± 0.1 after one step."""
    return {
        "experiment": "sine",
        "algorithm": algorithm,
        "seed": seed,
        "metric": "mse",
        "higher_is_better": False,
        "task_set": "c3d4",
        "tasks": 4,
        "shots": 5,
        "adapted": 1,
        "data": "a1b2",
        "commit": "0123abcd",
        "steps": [{"step": 0, "mean": 4.0, "ci95": 0.4}, {"step": 1, "mean": 0.9, "ci95": 0.1}],
        "other_shots": {},
        "reference": False,
        "learner": {"alpha": "per-parameter", "order": "second", "steps": 1},
        "network": {"kind": "mlp", "hidden": [40, 40], "parameters": 1761},
        "notes": ["inputs in [-5, 5]"],
        "training": {
            "iterations": 10000,
            "chosen_iteration": 8500,
            "device": "cpu",
            "compiled": False,
        },
    } | changes


def control(algorithm: str, **changes: Any) -> dict[str, Any]:
    """The JSON of a policy's result: -41.25 before adaptation, -9.126 ± 0.524 after one step of three."""
    means = [(-41.25, 1.5), (-9.126, 0.524), (-8.5, 0.5), (-12.75, 0.25)]
    about = {
        "experiment": "navigation",
        "metric": "return",
        "higher_is_better": True,
        "tasks": 600,
        "shots": 20,
        "steps": [{"step": step, "mean": mean, "ci95": ci95} for step, (mean, ci95) in enumerate(means)],
        "network": {"kind": "policy", "hidden": [100, 100], "parameters": 10604},
    }
    return result(algorithm, 1, **(about | changes))


def task_scores(scores: Sequence[float], step: int = 1, shots: int = 5) -> pd.DataFrame:
    """Per-task scores as the evaluate step stores them, with gate tasks that must not be counted."""
    test = {"set": "test", "shots": shots, "task": range(len(scores)), "step": step, "score": scores}
    gate = {"set": "gate", "shots": shots, "task": range(2), "step": step, "score": 1000.0}
    return pd.concat([pd.DataFrame(test), pd.DataFrame(gate)])


def decision(models: Sequence[tuple[str, int, str | None]], **changes: Any) -> dict[str, Any]:
    """The JSON of a decision that registered these (algorithm, seed, version) and made none champion."""
    versions = [
        {"algorithm": algorithm, "seed": seed, "version": version} for algorithm, seed, version in models
    ]
    return {
        "experiment": "sine",
        "model": "metasgd-sine",
        "task_set": "e5f6",
        "dry_run": False,
        "champion_before": None,
        "champion_after": None,
        "versions": versions,
        "comparisons": [],
    } | changes


def written_lane(
    root: Path, name: str, results: Sequence[dict[str, Any]], verdict: dict[str, Any]
) -> tuple[Path, Path]:
    """Write results and decision of a lane; returns the results' folder and the decision's file.

    The scores of single tasks lie 0.5 above and below the means.
    """
    folder, file = root / name / "results", root / name / "decision.json"
    folder.mkdir(parents=True)
    for one in results:
        path = folder / f"{one['algorithm']}-seed{one['seed']}.json"
        path.write_text(json.dumps(one))
        sets = [
            task_scores([step["mean"] - 0.5, step["mean"] + 0.5], step["step"], one["shots"])
            for step in one["steps"]
        ]
        pd.concat(sets).to_parquet(path.with_suffix(".parquet"))
    file.write_text(json.dumps(verdict))
    return folder, file
