"""The way of a pipeline to a cluster: checks, compilation, submission."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from components.parameters import Experiment, to_json
from components.tracking import LOCAL
from metasgd.errors import InputError
from pipelines.cluster import Cluster
from pipelines.dag import NAME, compile_pipeline
from pipelines.endpoint import endpoint
from pipelines.kubeflow import Kubeflow, connect
from pipelines.pods import Pods
from pipelines.preflight import check, find_pins, require_reference


@dataclass(frozen=True)
class Submission:
    """What is submitted: lanes and seeds, what they ask of the cluster, and the image's reference."""

    experiments: Sequence[Experiment]
    seeds: Sequence[int]
    cluster: Cluster
    image: str

    @property
    def name(self) -> str:
        return f"{NAME} {' '.join(experiment.name for experiment in self.experiments)}"

    def compile(self, package: Path) -> None:
        """Write the pipeline as YAML. Raises InputError where data are not pinned on S3."""
        pins = {name: to_json(pin) for name, pin in find_pins(self.experiments, Path()).items()}
        compile_pipeline(self.experiments, self.seeds, package, Pods(self.image, self.cluster), pins)


def only_compile(submission: Submission, package: Path) -> None:
    """Write the pipeline for a cluster, and ask nobody."""
    submission.compile(package)
    print(f"{package}: the pipeline, with the image {submission.image}")


@dataclass(frozen=True)
class Target:
    """Where it goes. strict: a warning of the checks stops it."""

    host: str
    namespace: str | None
    strict: bool


def submit(submission: Submission, target: Target, console: Console, wait: bool) -> None:
    """Check, submit, print the run's address, and follow it where `wait` says so.

    Raises InputError before anything is submitted, and StepFailedError where the followed run fails.
    """
    kubeflow, package = _ready(submission, target, console)
    run_id = kubeflow.submit(package, submission.name, submission.cluster.experiment)
    console.print(f"Submitted: {kubeflow.address(run_id)}", soft_wrap=True)
    if wait:
        kubeflow.follow(run_id, lambda line: console.print(line, soft_wrap=True))


def schedule(submission: Submission, target: Target, console: Console, cron: str) -> None:
    """Check, and let Kubeflow run it again and again. Raises InputError before anything is submitted."""
    if not cron:
        raise InputError('CRON is not set; expected six fields from seconds on, as in "0 0 3 * * *"')
    kubeflow, package = _ready(submission, target, console)
    recurring = kubeflow.schedule(package, submission.name, submission.cluster.experiment, cron)
    console.print(f"Scheduled: {recurring}, {cron}", soft_wrap=True)


def _ready(submission: Submission, target: Target, console: Console) -> tuple[Kubeflow, Path]:
    """The API and the package, once everything is checked that can be checked from here."""
    api = endpoint(target.host, target.namespace, os.environ)
    kubeflow = connect(api)
    require_reference(submission.image)
    risks = [api.warning] if api.warning else []
    for warning in [*risks, *check(submission.experiments, submission.cluster, Path())]:
        if target.strict:
            raise InputError(warning)
        console.print(f"warning: {warning}", soft_wrap=True)
    package = LOCAL / "kubeflow" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}.yaml"
    package.parent.mkdir(parents=True, exist_ok=True)
    submission.compile(package)
    return kubeflow, package
