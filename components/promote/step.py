"""Register the lane's models and let the gate decide, challenger after challenger, who is champion."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from components.episodes import Episodes, load_episodes
from components.evaluate.step import gate_scores
from components.parameters import Origin, Promotion, Training, from_json, to_json
from components.promote.gate import Verdict, judge
from components.promote.registry import Move, champion, fetch_checkpoint, move_champion, register
from components.results import Comparison, Decision, Model, Result, read_json
from components.rollout.step import gate_returns
from components.tracking import connect
from metasgd.adaptation import Learner, Meta
from metasgd.checkpoint import load_checkpoint, write_atomically
from metasgd.errors import InputError
from metasgd.policy_adaptation import collect, shared


@dataclass(frozen=True)
class Contender:
    """A model and its scores [tasks] on the gate tasks."""

    model: Model
    scores: np.ndarray
    higher_is_better: bool


def promote(
    experiment: str,
    promotion: Promotion,
    checkpoints: Sequence[Path],
    results: Path,
    episodes: Path,
    output: Path,
) -> None:
    """Write the decision as JSON to `output`; unless it is a dry run, register and move the alias.

    The registered model has the experiment's name. Challengers meet the champion in the order of
    `checkpoints`; references take no part.
    Raises InputError for results that are missing, and for a champion of another kind of task.
    """
    data = load_episodes(episodes)
    client = connect()
    before = champion(client, experiment)
    challengers = _challengers(client, promotion, checkpoints, results, data)
    present = _champion(experiment, before, data) if before else None
    comparisons = []
    for challenger in challengers:
        verdict = judge(challenger.scores, present.scores if present else None, challenger.higher_is_better)
        comparisons.append(_comparison(challenger, present, verdict))
        if verdict.wins:
            if not promotion.dry_run:
                _crown(client, experiment, challenger, present, verdict)
            present = challenger
    after = before if promotion.dry_run or present is None else present.model.version
    decision = Decision(
        experiment=experiment,
        model=experiment,
        task_set=data.task_set("gate", data.shots),
        dry_run=promotion.dry_run,
        champion_before=before,
        champion_after=after,
        versions=[challenger.model for challenger in challengers],
        comparisons=comparisons,
    )
    _keep(client, decision, output)


def _challengers(
    client: MlflowClient, promotion: Promotion, checkpoints: Sequence[Path], results: Path, data: Episodes
) -> list[Contender]:
    """The lane's learners with their gate scores; registered, unless it is a dry run."""
    challengers = []
    for checkpoint in checkpoints:
        learner, meta, about = load_checkpoint(checkpoint)
        if learner.settings.is_reference:
            continue
        training = from_json(Training, about["training"], str(checkpoint))
        file = results / f"{training.algorithm}-seed{training.seed}.json"
        result = read_json(Result, file)
        version = (
            None if promotion.dry_run else register(client, checkpoint, result, _example(learner, meta, data))
        )
        model = Model(training.algorithm, training.seed, version, result.run_id)
        scores = _stored_scores(file.with_suffix(".parquet"))
        challengers.append(Contender(model, scores, result.higher_is_better))
    return challengers


def _example(learner: Learner, meta: Meta, data: Episodes) -> dict[str, np.ndarray]:
    """The first gate task, as the served model takes it."""
    if data.dynamics is None:
        batch = data.batch("gate", data.shots)
        names = ("support_examples", "support_labels", "query_examples")
        return {name: tensor[0].numpy() for name, tensor in zip(names, batch, strict=False)}
    task = {name: value[:1] for name, value in data.fixed["gate"].items()}
    theta, noise = shared(meta.theta, 1), data.noise("gate")(0)
    drawn = collect(learner, theta, data.dynamics, task, data.shots, noise)
    support = {f"support_{name}": part[0].numpy() for name, part in drawn._asdict().items()}
    return {**support, "query_observations": drawn.observations[0, 0].numpy()}


def _stored_scores(path: Path) -> np.ndarray:
    """The gate scores [tasks] after the last step, in the order of the tasks."""
    scores = pd.read_parquet(path)
    gate = scores[scores["set"] == "gate"]
    gate = gate[gate["step"] == gate["step"].max()]
    return np.asarray(gate.sort_values("task")["score"], dtype=np.float64)


def _champion(experiment: str, version: str, data: Episodes) -> Contender:
    """The present champion, scored on this run's gate tasks whatever it was scored on before."""
    with tempfile.TemporaryDirectory() as scratch:
        learner, meta, about = load_checkpoint(fetch_checkpoint(experiment, version, Path(scratch)))
    if learner.problem != data.problem:
        raise InputError(
            f"champion {experiment} version {version} solves {learner.problem}; expected {data.problem}: "
            "give this experiment another name"
        )
    # It may be from an earlier version of the code, with other parameters.
    origin = from_json(Origin, about["training"], f"champion {experiment}")
    gate = gate_returns if data.tasks.kind == "control" else gate_scores
    scores = gate(learner, meta, data).double().numpy()
    return Contender(
        Model(origin.algorithm, origin.seed, version), scores, learner.objective.higher_is_better
    )


def _comparison(challenger: Contender, present: Contender | None, verdict: Verdict) -> Comparison:
    return Comparison(
        challenger=challenger.model,
        champion=present.model if present else None,
        mean_difference=verdict.difference,
        ci95=verdict.ci95,
        wins=verdict.wins,
        reason=verdict.reason,
    )


def _crown(
    client: MlflowClient, experiment: str, winner: Contender, loser: Contender | None, verdict: Verdict
) -> None:
    before = loser.model.version if loser else None
    move_champion(client, experiment, Move(before, str(winner.model.version), verdict.reason))


def _keep(client: MlflowClient, decision: Decision, output: Path) -> None:
    """The record of the decision: the output, and a copy with every run that took part."""
    output.parent.mkdir(parents=True, exist_ok=True)
    text = to_json(decision, indent=2) + "\n"
    write_atomically(output, text.encode())
    for model in decision.versions:
        if model.run_id is not None and not decision.dry_run:
            client.log_text(model.run_id, text, "decision.json")
