"""The DAG, unrolled when it is compiled: for every experiment a lane

    preprocess -> train (per algorithm and seed) -> evaluate or rollout -> promote -> report

where each lane's report continues the one before. Pipelines only wire: what a step does is in
components/<step>/step.py.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kfp import compiler, dsl

from components.evaluate.component import evaluate
from components.parameters import Experiment, to_json
from components.preprocess.component import preprocess
from components.promote.component import promote
from components.report.component import report
from components.rollout.component import rollout
from components.train.component import train

NAME = "metasgd"
SCORING = {"sinusoid": evaluate, "images": evaluate, "control": rollout}


def compile_pipeline(experiments: Sequence[Experiment], seeds: Sequence[int], package: Path) -> None:
    """Write the pipeline of these lanes as YAML."""
    compiler.Compiler().compile(_pipeline(experiments, seeds), str(package))


def _pipeline(experiments: Sequence[Experiment], seeds: Sequence[int]) -> dsl.graph_component.GraphComponent:
    @dsl.pipeline(name=NAME, description="Meta-SGD: one gradient step adapts to a new task")  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        earlier: dict[str, dsl.PipelineArtifactChannel] = {}
        for experiment in experiments:
            last = _lane(experiment, seeds, earlier)
            earlier = {"earlier": last.outputs["chapters"]}

    return pipeline


def _lane(experiment: Experiment, seeds: Sequence[int], earlier: dict) -> dsl.PipelineTask:  # type: ignore[type-arg]
    name = experiment.name
    episodes = preprocess(parameters=to_json(experiment.tasks)).set_display_name(f"{name}: preprocess")
    trainings = [to_json(training) for training in experiment.trainings(seeds)]
    with dsl.ParallelFor(trainings, name=f"{name}-trainings") as parameters:
        trained = train(parameters=parameters, episodes=episodes.output).set_display_name(f"{name}: train")
    # A Collected each: kfp changes one that it has wired.
    to_score, to_promote = (dsl.Collected(trained.outputs["checkpoint"]) for _ in range(2))
    score = SCORING[experiment.kind]
    scored = score(checkpoints=to_score, episodes=episodes.output).set_display_name(f"{name}: {score.name}")
    # Promote and report speak of the registry as it is now, so they are never taken from a cache.
    decided = promote(
        experiment=name,
        parameters=to_json(experiment.promote),
        checkpoints=to_promote,
        results=scored.outputs["results"],
        episodes=episodes.output,
    ).set_caching_options(False)
    told = report(
        results=scored.outputs["results"], decision=decided.outputs["decision"], **earlier
    ).set_caching_options(False)
    decided.set_display_name(f"{name}: promote")
    return told.set_display_name(f"{name}: report")


def steps(kind: str) -> tuple[str, ...]:
    """The steps of a lane of this kind, in their order."""
    return ("preprocess", "train", SCORING[kind].name, "promote", "report")


def task_names(kinds: Sequence[str]) -> list[dict[str, str]]:
    """For every lane of these kinds, what KFP calls its steps: train, train-2, train-3, ..."""
    used: Counter[str] = Counter()
    lanes = []
    for kind in kinds:
        used.update(steps(kind))
        lanes.append({step: step if used[step] == 1 else f"{step}-{used[step]}" for step in steps(kind)})
    return lanes
