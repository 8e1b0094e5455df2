"""A sweep's DAG: preprocess -> train (per point and seed) -> choose, and `finish` comes last in any case."""

from pathlib import Path

from kfp import compiler, dsl

from components.choose.component import choose
from components.component import LOCAL_IMAGE
from components.config.parsing import to_json
from components.preprocess.component import preprocess
from components.train.component import train
from pipelines.dag import NAME, finished
from pipelines.pods import Pods
from pipelines.sweeps.sweep import Sweep


def compile_sweep(
    sweep: Sweep,
    package: Path,
    pods: Pods = Pods(LOCAL_IMAGE),  # noqa: B008  # frozen
    pinned: str = "",
    check: str = "",
) -> None:
    """Write the pipeline of a sweep as YAML.

    pinned: the data that pods download, as JSON. check: "strict", where what is odd about them is an error.
    """
    name = sweep.experiment.name

    def named(task: dsl.PipelineTask, step: str) -> dsl.PipelineTask:
        return pods.fit(task, step).set_display_name(f"{name}: {step}")

    def steps() -> None:
        drawn = preprocess(parameters=to_json(sweep.experiment.tasks), pinned=pinned, check=check)
        episodes = named(drawn, "preprocess").output
        with dsl.ParallelFor(items(sweep), name=f"{name}-trainings") as parameters:
            trained = named(train(parameters=parameters, episodes=episodes), "train")
        checkpoints = dsl.Collected(trained.outputs["checkpoint"])
        chosen = choose(trials=to_json(sweep.trials), checkpoints=checkpoints, episodes=episodes)
        # Never from a cache: it writes the sweep's rows below this run.
        named(chosen, "choose").set_caching_options(False)

    compiler.Compiler().compile(finished(steps, f"{NAME}-sweep", _description(sweep), pods), str(package))


def items(sweep: Sweep) -> list[str]:
    """What the loop runs over."""
    return [to_json(training) for training in sweep.trainings]


def _description(sweep: Sweep) -> str:
    seeds = ", ".join(str(seed) for seed in sweep.seeds)
    return f"{len(sweep.points)} points of {sweep.experiment.name} for {sweep.algorithm}; seeds {seeds}."
