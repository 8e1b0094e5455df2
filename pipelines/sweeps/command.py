"""What commands that sweep have in common: where it runs, and running it."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.options import add_cluster_options, add_runner_options

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.sweeps.space import Space
    from pipelines.sweeps.sweep import Sweep


def add_places(parser: argparse.ArgumentParser) -> None:
    """On this machine, or with --host on Kubeflow."""
    add_runner_options(parser)
    add_cluster_options(parser)


def sweep(spaces: "Sequence[Space]", trials: int | None, options: argparse.Namespace) -> None:
    """Run a sweep of every space, one after the other; nothing runs where one of them is wrong."""
    where = (
        "on Kubeflow"
        if options.host
        else "in containers"
        if options.runner == "docker"
        else "on this machine"
    )
    for space in spaces:
        print(f"{space.experiment}, {space.algorithm}: sweeps {where}", flush=True)

    from rich.console import Console

    from pipelines.sweeps.sweep import resolve_sweep

    sweeps = [resolve_sweep(space, trials, options.seeds) for space in spaces]
    for one in sweeps:
        (_submit if options.host else _run)(one, options, Console())


def _run(sweep: "Sweep", options: argparse.Namespace, console: "Console") -> None:
    from pipelines.image import container_image
    from pipelines.sweeps.run import run_sweep

    image = container_image(options.runner, options.image, options.base)
    run_sweep(sweep, console, image, options.check, use_finished=options.cache == "on")


def _submit(sweep: "Sweep", options: argparse.Namespace, console: "Console") -> None:
    from pipelines.image import BASE, reference
    from pipelines.kubeflow.cluster import load_cluster
    from pipelines.kubeflow.submission import Target, submit
    from pipelines.sweeps.submission import SweepSubmission

    uncached = ["kubeflow.caching=false"] if options.cache == "off" else []
    submission = SweepSubmission(
        experiments=[sweep.experiment],
        seeds=sweep.seeds,
        cluster=load_cluster([*options.overrides, *uncached]),
        image=options.image or reference(options.registry, options.base or BASE),
        check=options.check,
        sweep=sweep,
    )
    submit(submission, Target(options.host, options.namespace), console, options.wait)
