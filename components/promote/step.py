"""Register the lane's models and let the gate decide who is champion."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from components.artifacts.checkpoint import Trained, load_champion, load_trained
from components.artifacts.decision import Comparison, Decision, Model
from components.artifacts.results import Result, read_json, read_scores
from components.artifacts.runs import RUNS, read_runs
from components.config.parsing import to_json
from components.config.settings import Promotion
from components.kinds.kind import Kind, gate_scores, task_set
from components.kinds.table import load_tasks
from components.promote.gate import NO_CHAMPION, Scores, Verdict, judge
from components.promote.registration import register
from components.tracking.client import connect
from components.tracking.lock import Lock, promotion_lock
from components.tracking.registry import (
    ArtifactsError,
    Move,
    champion,
    fetch_checkpoint,
    move_champion,
    reconcile,
)
from metasgd.errors import InputError
from metasgd.files import write_atomically
from metasgd.objectives import OBJECTIVES
from metasgd.own_folder import require_whole


@dataclass(frozen=True)
class Contender:
    """A model and its scores [tasks] on the gate tasks."""

    model: Model
    scores: np.ndarray


@dataclass(frozen=True)
class Challenger(Contender):
    """before: its scores before adaptation. run_id: of its training, where it is registered."""

    before: np.ndarray
    run_id: str | None = None


@dataclass(frozen=True)
class Lane:
    """What the step is given. experiment: the registered model's name, too."""

    experiment: str
    promotion: Promotion
    checkpoints: Sequence[Path]
    results: Path
    tasks: Kind


def promote(
    experiment: str,
    promotion: Promotion,
    checkpoints: Sequence[Path],
    results: Path,
    episodes: Path,
    output: Path,
) -> None:
    """Write the decision as JSON to `output`; unless it is a dry run, register and move the alias.

    The registered model has the experiment's name. References take no part.
    Raises InputError for results that are missing, and for a champion of another kind of task.
    """
    require_whole(results)
    lane = Lane(experiment, promotion, checkpoints, results, load_tasks(episodes))
    client = connect()
    if promotion.dry_run:
        _decide(client, lane, output)
        return
    with promotion_lock(client, experiment) as lock:
        reconcile(client, experiment)
        _decide(client, lane, output, lock)


def _decide(client: MlflowClient, lane: Lane, output: Path, lock: Lock | None = None) -> None:
    """lock: of the model; without one, nothing is registered and no alias is moved."""
    experiment = lane.experiment
    before = champion(client, experiment)
    present, gone = _champion(lane, before)
    challengers = _challengers(client, lane)
    verdicts = _judge(lane, challengers, present, gone)
    comparisons = _compare(challengers, present, verdicts)
    if lock is not None:
        lock.require()
    holder = _set_champion(client, lane, present, challengers, verdicts)
    decision = Decision(
        experiment=experiment,
        model=experiment,
        task_set=task_set(lane.tasks, "gate", lane.tasks.parameters.reported_shots),
        dry_run=lane.promotion.dry_run,
        champion_before=before,
        champion_after=holder.model.version if holder and lock else before,
        versions=[challenger.model for challenger in challengers],
        comparisons=comparisons,
    )
    _keep(client, challengers, decision, output)


def _challengers(client: MlflowClient, lane: Lane) -> list[Challenger]:
    """The lane's learners with their gate scores; registered, unless it is a dry run."""
    problem = lane.tasks.episodes.manifest.problem
    trained = [load_trained(checkpoint, problem) for checkpoint in lane.checkpoints]
    return [_challenger(client, lane, one) for one in trained if not one.learner.settings.is_reference]


def _challenger(client: MlflowClient, lane: Lane, trained: Trained) -> Challenger:
    training, file = trained.about.training, lane.results / f"{trained.name}.json"
    result = read_json(Result, file)
    if result.trained_on is not None:
        raise InputError(f"{file}: was trained on {result.trained_on}; expected scores on tasks of its own")
    before, scores = _stored_scores(file.with_suffix(".parquet"))
    tasks = lane.tasks.parameters.stored.gate
    if len(scores) != tasks:
        raise InputError(
            f"{lane.results}: {len(scores)} gate tasks; expected the {tasks} of "
            f"{lane.tasks.episodes.folder}: score them anew"
        )
    if lane.promotion.dry_run:
        return Challenger(Model(training.algorithm, training.seed, None), scores, before)
    run = read_runs(lane.results / RUNS).get(trained.name)
    if run is None or run.weights != trained.weights:
        raise InputError(
            f"{lane.results / RUNS}: no MLflow run of {trained.folder}; expected one: score it here first"
        )
    example = lane.tasks.example(trained.learner, trained.meta)
    version = register(client, run.run_id, trained, result, example)
    return Challenger(Model(training.algorithm, training.seed, version), scores, before, run.run_id)


def _stored_scores(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The gate scores [tasks] before adaptation and after the last step, in the order of the tasks."""
    scores = read_scores(path)
    gate = scores[scores["set"] == "gate"]
    if gate.empty:
        raise InputError(f"{path}: holds no scores on gate tasks; expected them: score the checkpoint anew")
    by_step = gate.pivot(index="task", columns="step", values="score").astype(float)
    return by_step.iloc[:, 0].to_numpy(), by_step.iloc[:, -1].to_numpy()


def _champion(lane: Lane, version: str | None) -> tuple[Contender | None, str]:
    """The present champion, and why there is none to meet: no version, or one whose files are gone."""
    if version is None:
        return None, NO_CHAMPION
    try:
        return _scored_champion(lane, version), ""
    except ArtifactsError as error:
        print(f"{lane.experiment}: warning: the champion cannot be met: {error}", flush=True)
        return None, f"the champion, version {version}, cannot be loaded"


def _scored_champion(lane: Lane, version: str) -> Contender:
    """Scored on this run's gate tasks, whatever it was scored on before."""
    where, expected = f"champion {lane.experiment} version {version}", lane.tasks.episodes.manifest.problem
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch_checkpoint(lane.experiment, version, Path(scratch))
        try:
            learner, meta, origin = load_champion(folder, where)
        except InputError as error:
            raise ArtifactsError(str(error)) from None
    if learner.problem != expected:
        raise InputError(
            f"{where} solves {learner.problem}; expected {expected}: give this experiment another name"
        )
    scores = gate_scores(lane.tasks, learner, meta).double().numpy()
    return Contender(Model(origin.algorithm, origin.seed, version), scores)


def _judge(
    lane: Lane, challengers: Sequence[Challenger], present: Contender | None, gone: str
) -> list[Verdict]:
    """gone: why there is no champion, where there is none."""
    folder, tasks = lane.tasks.episodes.folder, lane.tasks.parameters.stored.gate
    if tasks < 2:  # as in earlier episodes
        raise InputError(f"{folder}: 1 gate task; expected at least 2")
    objective = OBJECTIVES[lane.tasks.episodes.manifest.problem.objective]
    scores = [Scores(challenger.scores, challenger.before) for challenger in challengers]
    return judge(scores, present.scores if present else None, objective.higher_is_better, gone)


def _compare(
    challengers: Sequence[Contender], present: Contender | None, verdicts: Sequence[Verdict]
) -> list[Comparison]:
    """Who met whom: the champion, or the challenger that stepped into its place."""
    met, comparisons = present, []
    for challenger, verdict in zip(challengers, verdicts, strict=True):
        compared = verdict.difference is not None
        comparison = Comparison(
            challenger=challenger.model,
            champion=met.model if met and (compared or met is present) else None,
            mean_difference=verdict.difference,
            interval=verdict.interval,
            level=verdict.level,
            wins=verdict.wins,
            reason=verdict.reason,
        )
        comparisons.append(comparison)
        if verdict.wins and not compared:
            met = challenger
    return comparisons


def _set_champion(
    client: MlflowClient,
    lane: Lane,
    present: Contender | None,
    challengers: Sequence[Contender],
    verdicts: Sequence[Verdict],
) -> Contender | None:
    """Move the alias, unless it is a dry run; returns who holds it in the end."""
    holder = present
    for challenger, verdict in zip(challengers, verdicts, strict=True):
        if not verdict.wins:
            continue
        if not lane.promotion.dry_run:
            before = holder.model.version if holder else None
            move_champion(
                client, lane.experiment, Move(before, str(challenger.model.version), verdict.reason)
            )
        holder = challenger
    return holder


def _keep(client: MlflowClient, challengers: Sequence[Challenger], decision: Decision, output: Path) -> None:
    """The record of the decision: the output, and a copy with every run that took part."""
    output.parent.mkdir(parents=True, exist_ok=True)
    text = to_json(decision, indent=2) + "\n"
    write_atomically(output, text.encode())
    for challenger in challengers:
        if challenger.run_id is not None:
            client.log_text(challenger.run_id, text, "decision.json")
