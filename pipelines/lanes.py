"""The lanes that a command was asked for, with their parameters."""

from collections.abc import Sequence

from components.config.document import SECTIONS, load_section
from components.config.settings import Run
from components.kinds.experiment import Experiment, load_experiments
from metasgd.errors import InputError
from pipelines.kubeflow.cluster import load_cluster


def resolve(
    names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]
) -> tuple[list[Experiment], list[int]]:
    """The experiments and seeds that were asked for, or else those of params.yaml's `run`.

    Raises InputError for what is wrong, and for an override that nothing here takes.
    """
    run = load_section(Run, "run", overrides)
    if any(text.startswith("kubeflow.") for text in overrides):
        load_cluster(overrides)
    experiments = load_experiments(names or run.experiments, overrides, others=SECTIONS)
    chosen = list(seeds or run.seeds)
    for what, values in (("EXPERIMENTS", [e.name for e in experiments]), ("SEEDS", chosen)):
        if len(set(values)) < len(values):
            raise InputError(f"{what} is {values}; expected each one once")
    return experiments, chosen
