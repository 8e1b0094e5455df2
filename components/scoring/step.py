"""Score every checkpoint of a lane on stored tasks: what evaluate and rollout both are."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from components.artifacts.checkpoint import Trained, load_trained
from components.artifacts.intervals import half_width
from components.artifacts.results import METRICS, Result, Score, ShotScores, TrainingRecord
from components.artifacts.runs import RUNS, RunRecord, write_runs
from components.config.code import git_commit
from components.config.parsing import to_json
from components.config.settings import Training
from components.kinds.kind import Kind, task_set
from components.kinds.table import load_tasks, task_settings
from components.scoring.ablation import ablated_scores, worth
from components.scoring.tables import score_table
from components.scoring.tracking import log_result, run_of
from metasgd.configuration import ConvNetSettings, PolicySettings
from metasgd.errors import InputError
from metasgd.own_folder import own_folder


def score_lane(step: str, checkpoints: Sequence[Path], episodes: Path, output: Path) -> dict[str, float]:
    """Write the results folder, whole or not at all; returns the headline numbers.

    step: the one that is asked to: "evaluate" or "rollout".
    Raises InputError for a checkpoint that is damaged or was trained for another kind of task, and for tasks
    that another step scores.
    """
    tasks = load_tasks(episodes)
    if tasks.scored_by != step:
        raise InputError(f"{episodes}: {tasks.parameters.kind} tasks; expected step {tasks.scored_by}")
    lane = [load_trained(checkpoint, tasks.episodes.manifest.problem) for checkpoint in checkpoints]
    with own_folder(output, f"components.{step}", passing=[RUNS]) as folder:
        (folder / "figures").mkdir()
        shown = tasks.draw_lane(lane, folder)
        runs = {trained.name: _score(trained, lane, tasks, folder, shown) for trained in lane}
        write_runs(folder / RUNS, {name: record for name, (record, _) in runs.items()})
        results = [result for _, result in runs.values()]
        (folder / METRICS).mkdir()
        for result in results:
            (folder / METRICS / f"{result.name}.json").write_text(
                json.dumps(metrics(result), indent=2) + "\n"
            )
    return headline(results)


def _score(
    trained: Trained, lane: Sequence[Trained], tasks: Kind, folder: Path, shown: Sequence[Path]
) -> tuple[RunRecord, Result]:
    """The files of one checkpoint of the lane, which its MLflow run keeps, too."""
    scores = pd.concat([table_of_tests(trained, tasks), table_of_gate(trained, tasks)], ignore_index=True)
    result = _result(trained, tasks, scores)
    figures = folder / "figures" / trained.name
    figures.mkdir()
    (folder / f"{trained.name}.json").write_text(to_json(result) + "\n")
    scores.to_parquet(folder / f"{trained.name}.parquet", index=False)
    tasks.draw(trained, lane, figures)
    with run_of(trained, tasks.parameters, apart=result.trained_on is not None) as run:
        log_result(run, result, scores, trained)
        run.log_folder(figures, "figures")
        for file in shown:
            run.log_file(file, "figures")
    known = trained.run or RunRecord(run.run_id)
    return replace(known, run_id=run.run_id, weights=trained.weights), result


def table_of_tests(trained: Trained, tasks: Kind) -> pd.DataFrame:
    """The sets "test" and "served" of components.artifacts.results."""
    learner, reported = trained.learner, tasks.parameters.reported_shots
    sets = [("served", learner.served, reported)] if learner.served != learner else []
    sets += [("test", learner, shots) for shots in tasks.parameters.stored.test_shots]
    tables = [
        score_table(name, shots, tasks.scores(scored, trained.meta, "test", shots))
        for name, scored, shots in sets
    ]
    return pd.concat(tables, ignore_index=True)


def table_of_gate(trained: Trained, tasks: Kind) -> pd.DataFrame:
    """The set "gate" of components.artifacts.results, and those with less of alpha."""
    shots = tasks.parameters.reported_shots
    gate = score_table("gate", shots, tasks.scores(trained.learner.served, trained.meta, "gate", shots))
    return pd.concat([gate, *ablated_scores(trained, tasks)], ignore_index=True)


def metrics(result: Result) -> dict[str, float]:
    """What DVC shows of a training, under the same names for all."""
    before, after = result.steps[0].mean, result.after
    return {"before": before, "after": after.mean, "ci95": after.ci95, "tasks": result.tasks}


def headline(results: Sequence[Result]) -> dict[str, float]:
    """Scores before and after adaptation of every algorithm and seed: what KFP shows."""
    values = {}
    for result in results:
        name = f"{result.name}-{result.metric}"
        values[f"{name}-before"] = result.steps[0].mean
        values[f"{name}-after"] = result.after.mean
        values[f"{name}-after-ci95"] = result.after.ci95
        values[f"{name}-served"] = result.as_served.mean
    return values


def _result(trained: Trained, tasks: Kind, scores: pd.DataFrame) -> Result:
    training, learner, about = trained.about.training, trained.learner, trained.about
    by_shots = {shots: _shot_scores(scores, tasks, shots) for shots in tasks.parameters.stored.test_shots}
    reported = by_shots.pop(tasks.parameters.reported_shots)
    served = {score.step: score for score in _steps(scores[scores["set"] == "served"])}
    parameters = sum(value.numel() for value in trained.meta.theta.values())
    manifest, elsewhere = tasks.episodes.manifest, _trained_elsewhere(trained, tasks)
    return Result(
        experiment=training.experiment,
        algorithm=training.algorithm,
        seed=training.seed,
        metric=learner.objective.metric,
        higher_is_better=learner.objective.higher_is_better,
        task_set=reported.task_set,
        tasks=reported.tasks,
        shots=tasks.parameters.reported_shots,
        adapted=learner.settings.test_steps,
        data=manifest.data,
        commit=git_commit(),
        steps=reported.steps,
        other_shots=by_shots,
        reference=learner.settings.is_reference,
        learner=asdict(training.learner),
        network={**asdict(training.network), "parameters": parameters},
        notes=[
            *manifest.notes,
            *_network_notes(training),
            *([f"trained on {elsewhere}"] if elsewhere else []),
        ],
        training=TrainingRecord(
            iterations=training.train.iterations,
            chosen_iteration=about.chosen_iteration,
            device=about.device,
            compiled=about.compiled,
        ),
        served=served.get(learner.settings.test_steps),
        ablations=worth(scores, learner.settings.test_steps, learner.objective.higher_is_better),
        trained_on=elsewhere,
    )


def _trained_elsewhere(trained: Trained, tasks: Kind) -> str | None:
    """What the training's tasks were drawn from, where that is another domain and the checkpoint says it."""
    if trained.about.tasks is None:
        return None
    domain = task_settings(trained.about.tasks, str(trained.folder)).domain
    return domain if domain != tasks.parameters.domain else None


def _shot_scores(scores: pd.DataFrame, tasks: Kind, shots: int) -> ShotScores:
    of_test = scores[(scores["set"] == "test") & (scores["shots"] == shots)]
    return ShotScores(task_set(tasks, "test", shots), int(of_test["task"].nunique()), _steps(of_test))


def _steps(table: pd.DataFrame) -> list[Score]:
    """The mean over the tasks after each step."""
    return [
        Score(step, float(scores.mean()), half_width(scores))
        for step in sorted(table["step"].unique().tolist())
        for scores in [table.loc[table["step"] == step, "score"].to_numpy()]
    ]


def _network_notes(training: Training) -> list[str]:
    match training.network:
        case ConvNetSettings(filters=filters, normalisation=normalisation, head=head):
            return [f"{filters} filters", f"{normalisation} batch norm of queries", f"{head} classifier"]
        case PolicySettings(std=std, least_std=least):
            return [f"the policy's standard deviation starts at {std}, is learned and stays above {least}"]
        case _:
            return []
