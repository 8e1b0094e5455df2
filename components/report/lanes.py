"""A lane as the report sees it: its results and its decision, read together and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.artifacts.decision import Decision
from components.artifacts.results import Result, read_json
from components.artifacts.runs import RUNS, RunRecord, read_runs
from metasgd.errors import InputError
from metasgd.own_folder import require_whole


@dataclass(frozen=True)
class Lane:
    """One experiment of the run.

    results: by algorithm, each list by seed, learners before references.
    runs: the MLflow runs, by <algorithm>-seed<seed>; empty where the report is not to differ from run to run.
    """

    folder: Path
    decision: Decision
    results: dict[str, list[Result]]
    runs: dict[str, RunRecord]

    @property
    def experiment(self) -> str:
        return self.first.experiment

    @property
    def first(self) -> Result:
        return next(iter(self.results.values()))[0]


def read_lanes(results: Sequence[Path], decisions: Sequence[Path], with_runs: bool = False) -> list[Lane]:
    """A lane per results folder, with the decision at the same place in the other list.

    Raises InputError for a missing, unreadable or contradicting file.
    """
    if len(results) != len(decisions):
        raise InputError(
            f"report: {len(results)} results and {len(decisions)} decisions; expected one for each"
        )
    return [read_lane(*paths, with_runs) for paths in zip(results, decisions, strict=True)]


def read_lane(folder: Path, decision_file: Path, with_runs: bool) -> Lane:
    require_whole(folder)
    decision = read_json(Decision, decision_file)
    expected = {f"{model.algorithm}-seed{model.seed}.json" for model in decision.versions}
    names = sorted(expected | {path.name for path in folder.glob("*-seed*.json")})
    if not names:
        raise InputError(f"{folder}: holds no results; expected <algorithm>-seed<seed>.json")
    results = [read_json(Result, folder / name) for name in names]
    for result in results:
        where = folder / f"{result.name}.json"
        _require_same(where, "experiment", result.experiment, decision.experiment)
        # Scores on different tasks stand in one table, but cannot be compared.
        _require_same(where, "task_set", result.task_set, results[0].task_set)
    runs = read_runs(folder / RUNS) if with_runs else {}
    return Lane(folder, decision, _by_algorithm(results, decision), runs)


def _require_same(where: Path, key: str, value: str, expected: str) -> None:
    if value != expected:
        raise InputError(f"{where}: {key} is {value!r}; expected {expected!r} as in the rest of the lane")


def _by_algorithm(results: list[Result], decision: Decision) -> dict[str, list[Result]]:
    """In the order of the decision, which is the order of the run; references last."""
    order = [model.algorithm for model in decision.versions]
    places = {algorithm: place for place, algorithm in reversed(list(enumerate(order)))}
    ordered = sorted(
        results, key=lambda r: (r.reference, places.get(r.algorithm, len(order)), r.algorithm, r.seed)
    )
    return {r.algorithm: [s for s in ordered if s.algorithm == r.algorithm] for r in ordered}
