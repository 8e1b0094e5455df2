"""The run in a table: a row per experiment and algorithm, aggregated over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from components.artifacts.decision import Decision
from components.artifacts.results import Result
from components.report.estimates import Estimate, Lead, estimate, gain, lead, served_estimate
from components.report.lanes import Lane, read_lanes
from components.report.wording import ahead, estimated, score, versions


@dataclass(frozen=True)
class Row:
    """One algorithm of one experiment on its test tasks.

    before, after: before adaptation, and after `steps` inner steps on `shots` examples (trajectories).
    served: after them, as the served model predicts: each example for itself.
    version: the registered versions, as in "3", "3-5" or "-".
    champion: whether one of these versions is the champion after the run.
    gain: what adaptation is worth, task by task; positive is better.
    iterations: of its meta-training; None for what is not trained.
    leads: over the lane's other learners; of its first one alone.
    runs, machines: of its trainings, where the report names what differs from run to run.
    """

    experiment: str
    algorithm: str
    seeds: list[int]
    metric: str
    higher_is_better: bool
    reference: bool
    shots: int
    before: Estimate
    after: Estimate
    served: Estimate
    gain: Estimate
    steps: int
    tasks: int
    iterations: int | None
    version: str
    champion: bool
    commit: str
    data: str
    task_set: str
    leads: list[Lead] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)


def rows(results: Sequence[Path], decisions: Sequence[Path]) -> list[Row]:
    """The rows of all lanes, in the order of the lanes and of the algorithms within each.

    results: the results folder of every lane; decisions: its decision.json, in the same order.
    Raises InputError for missing or contradicting files.
    """
    return [row for lane in read_lanes(results, decisions) for row in lane_rows(lane)]


def lane_rows(lane: Lane) -> list[Row]:
    return [_row(lane, seeds) for seeds in lane.results.values()]


def table(rows: list[Row]) -> Table:
    """The rows, as a rule within 80 columns, the champion's version starred."""
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    for column in ("experiment", "algorithm"):
        shown.add_column(column, no_wrap=True)
    for column in ("before", "after one step\n± 95 % CI", "as served\n± 95 % CI", "version"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row, previous in zip(rows, [None, *rows[:-1]], strict=True):
        first = previous is None or previous.experiment != row.experiment
        if first and previous is not None:
            shown.add_section()
        shown.add_row(Text(row.experiment if first else ""), *_cells(row))
    return shown


def comparisons(rows: list[Row]) -> list[str]:
    """Whose learner is ahead in every experiment, as far as its seeds tell."""
    return [
        f"{row.experiment}: {ahead(row.algorithm, one, row.metric)}"
        for row in rows
        for one in row.leads
        if one.seeds > 1
    ]


def _cells(row: Row) -> list[Text]:
    seeds = f" ({len(row.seeds)} seeds)" if len(row.seeds) > 1 else ""
    steps = "" if row.steps == 1 else f" ({row.steps} steps)"
    after = estimated(row.after, row.metric, steps, apart="\n")
    served = estimated(row.served, row.metric, apart="\n")
    version = f"★ {row.version}" if row.champion else row.version
    before = score(row.before.mean, None, row.metric)
    return [Text(text) for text in (row.algorithm + seeds, before, after, served, version)]


def _row(lane: Lane, seeds: list[Result]) -> Row:
    first = seeds[0]
    champion, version = _registered(lane.decision, first.algorithm)
    records = [lane.runs[seed.name] for seed in seeds if seed.name in lane.runs]
    return Row(
        experiment=first.experiment,
        algorithm=first.algorithm,
        seeds=[seed.seed for seed in seeds],
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        reference=first.reference,
        shots=first.shots,
        before=estimate(lane.folder, seeds, first.shots, first.steps[0].step),
        after=estimate(lane.folder, seeds, first.shots, first.adapted),
        served=served_estimate(lane.folder, seeds),
        gain=gain(lane.folder, seeds),
        steps=first.adapted,
        tasks=first.tasks,
        iterations=_iterations(first),
        version=version,
        champion=champion,
        commit=first.commit,
        data=first.data,
        task_set=first.task_set,
        leads=_leads(lane, seeds),
        runs=[record.run_id for record in records],
        machines=list(dict.fromkeys(record.machine for record in records if record.machine)),
    )


def _iterations(result: Result) -> int | None:
    trained = result.training is not None and result.learner.get("trained", True)
    return result.training.iterations if result.training and trained else None


def _leads(lane: Lane, seeds: list[Result]) -> list[Lead]:
    """Of the lane's first learner."""
    learners = [own for own in lane.results.values() if not own[0].reference]
    if not learners or seeds is not learners[0]:
        return []
    found = [lead(lane.folder, seeds, others) for others in learners[1:]]
    return [one for one in found if one is not None]


def _registered(decision: Decision, algorithm: str) -> tuple[bool, str]:
    """Whether a version of the algorithm is the champion now, and its versions as text."""
    own = [m.version for m in decision.versions if m.algorithm == algorithm and m.version is not None]
    return decision.champion_after in own, versions(own)
