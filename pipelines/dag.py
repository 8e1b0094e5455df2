"""The DAG, unrolled when it is compiled: for every experiment a lane

    preprocess -> train (per algorithm and seed) -> evaluate or rollout -> promote -> report

where each lane's report continues the one before, and `finish` comes last in any case. Pipelines
only wire: what a step does is in components/<step>/step.py.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl.pipeline_channel import PipelineChannel

from components.component import LOCAL_IMAGE
from components.config.parsing import to_json
from components.evaluate.component import evaluate
from components.finish.component import finish
from components.kinds.experiment import Experiment
from components.kinds.table import KINDS
from components.preprocess.component import preprocess
from components.promote.component import promote
from components.report.component import report
from components.rollout.component import rollout
from components.train.component import train
from pipelines.pods import Pods

NAME = "metasgd"
SCORING = {"evaluate": evaluate, "rollout": rollout}


def compile_pipeline(
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    package: Path,
    pods: Pods = Pods(LOCAL_IMAGE),  # noqa: B008  # frozen
    pins: Mapping[str, str] | None = None,
    check: str = "",
    command: str = "",
) -> None:
    """Write the pipeline of these lanes as YAML.

    pins: experiment -> the data that its pods download, as JSON (components.datasets.pinned), where the
        data are not at hand.
    check: "strict", where what is odd about the data is an error.
    command: that runs these lanes again, for the report to name.
    """
    pipeline = _pipeline(experiments, seeds, pods, pins or {}, check, command)
    compiler.Compiler().compile(pipeline, str(package))


def _pipeline(
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    pods: Pods,
    pins: Mapping[str, str],
    check: str,
    command: str,
) -> dsl.graph_component.GraphComponent:
    @dsl.pipeline(name=NAME, description=_description(experiments, seeds))  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        # It ends what the first step opened, whatever becomes of the steps between.
        ending = pods.fit(finish(), "finish").set_caching_options(False).set_display_name("finish")
        with dsl.ExitHandler(ending, name="experiments"):
            told: dict[str, str | PipelineChannel] = {"command": command}
            for experiment in experiments:
                source = {"pinned": pins.get(experiment.name, ""), "check": check}
                last = _lane(experiment, seeds, pods, source, told)
                told = {**told, "earlier": last.outputs["chapters"]}

    return pipeline


def _description(experiments: Sequence[Experiment], seeds: Sequence[int]) -> str:
    lanes = "; ".join(f"{one.name}: {', '.join(one.compare)}" for one in experiments)
    numbers = ", ".join(str(seed) for seed in seeds)
    return f"Meta-SGD: one gradient step adapts to a new task. {lanes}; seeds {numbers}."


def _lane(
    experiment: Experiment,
    seeds: Sequence[int],
    pods: Pods,
    source: Mapping[str, str],
    told: Mapping[str, str | PipelineChannel],
) -> dsl.PipelineTask:
    """source: what preprocess is told besides the tasks. told: what report is: command, earlier chapters."""
    name = experiment.name

    def named(task: dsl.PipelineTask, step: str) -> dsl.PipelineTask:
        return pods.fit(task, step).set_display_name(f"{name}: {step}")

    episodes = named(preprocess(parameters=to_json(experiment.tasks), **source), "preprocess")
    trainings = [to_json(training) for training in experiment.trainings(seeds)]
    with dsl.ParallelFor(trainings, name=f"{name}-trainings") as parameters:
        trained = named(train(parameters=parameters, episodes=episodes.output), "train")
    # A Collected each: kfp changes one that it has wired.
    to_score, to_promote = (dsl.Collected(trained.outputs["checkpoint"]) for _ in range(2))
    step = KINDS[experiment.kind].scored_by
    scored = named(SCORING[step](checkpoints=to_score, episodes=episodes.output), step)
    decided = named(
        promote(
            experiment=name,
            parameters=to_json(experiment.promote),
            checkpoints=to_promote,
            results=scored.outputs["results"],
            episodes=episodes.output,
        ),
        "promote",
    )
    page = named(
        report(results=scored.outputs["results"], decision=decided.outputs["decision"], **told), "report"
    )
    # Promote and report speak of the registry as it is now, so they are never taken from a cache.
    decided.set_caching_options(False)
    return page.set_caching_options(False)


def steps(kind: str) -> tuple[str, ...]:
    """The steps of a lane of this kind, in their order."""
    return ("preprocess", "train", KINDS[kind].scored_by, "promote", "report")


def task_names(kinds: Sequence[str]) -> list[dict[str, str]]:
    """For every lane of these kinds, what KFP calls its steps: train, train-2, train-3, ..."""
    used: Counter[str] = Counter()
    lanes = []
    for kind in kinds:
        used.update(steps(kind))
        lanes.append({step: step if used[step] == 1 else f"{step}-{used[step]}" for step in steps(kind)})
    return lanes
