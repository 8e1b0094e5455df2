"""The way of a pipeline to a cluster: checks, compilation, submission."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console

from components.config.code import git_commit
from components.config.environment import LOCAL
from components.config.parsing import to_json
from components.kinds.experiment import Experiment
from components.tracking.client import PIPELINES
from metasgd.errors import InputError
from pipelines.dag import NAME, compile_pipeline, task_names
from pipelines.image import digest_of
from pipelines.kubeflow.check import check, find_pins, require_reference
from pipelines.kubeflow.cluster import Cluster
from pipelines.kubeflow.cron import require_cron
from pipelines.kubeflow.endpoint import endpoint
from pipelines.kubeflow.follow import Lane, follow
from pipelines.kubeflow.server import Kubeflow, Version, connect
from pipelines.pods import Pods


@dataclass(frozen=True)
class Submission:
    """What is submitted: lanes and seeds, what they ask of the cluster, and the image's reference.

    check: "strict", where a warning stops it, here or in the pods.
    command: that runs the same lanes, for the report to name.
    """

    experiments: Sequence[Experiment]
    seeds: Sequence[int]
    cluster: Cluster
    image: str
    check: str = ""
    command: str = ""

    @property
    def name(self) -> str:
        return f"{NAME} {' '.join(experiment.name for experiment in self.experiments)}"

    @property
    def description(self) -> str:
        """What the Kubeflow UI says beside the name."""
        page = self.cluster.mlflow_page
        tracked = f"MLflow: {page}, experiment {PIPELINES}. " if page else ""
        seeds = " ".join(str(seed) for seed in self.seeds)
        return f"{tracked}Seeds {seeds}. Commit {git_commit()}. Image {self.image}"

    @property
    def lanes(self) -> list[Lane]:
        tasks = task_names([experiment.kind for experiment in self.experiments])
        return [
            Lane(
                experiment.name,
                names,
                [f"{one.algorithm} seed {one.seed}" for one in experiment.trainings(self.seeds)],
            )
            for experiment, names in zip(self.experiments, tasks, strict=True)
        ]

    def compile(self, package: Path) -> None:
        """Write the pipeline as YAML. Raises InputError where data are not pinned on S3."""
        pins = {name: to_json(pin) for name, pin in find_pins(self.experiments, Path()).items()}
        pods = Pods(self.image, self.cluster)
        compile_pipeline(self.experiments, self.seeds, package, pods, pins, self.check, self.command)


def only_compile(submission: Submission, package: Path) -> None:
    """Write the pipeline for a cluster, and ask nobody."""
    submission.compile(package)
    print(f"{package}: the pipeline, with the image {submission.image}")


@dataclass(frozen=True)
class Target:
    """Where it goes."""

    host: str
    namespace: str | None

    def connect(self) -> Kubeflow:
        return connect(endpoint(self.host, self.namespace, os.environ))


def submit(submission: Submission, target: Target, console: Console, wait: bool) -> None:
    """Check, submit, print the run's address, and follow it where `wait` says so.

    Raises InputError before anything is submitted, and StepFailedError where the followed run fails.
    """
    kubeflow, package = _ready(submission, target, console)
    experiment = submission.cluster.experiment
    run_id = kubeflow.submit(package, submission.name, experiment, submission.description)
    console.print(f"Submitted: {kubeflow.address(run_id)}", soft_wrap=True)
    if wait:
        follow(kubeflow, run_id, submission.lanes, lambda line: _say(console, line))


def upload(submission: Submission, target: Target, console: Console) -> tuple[Kubeflow, Version]:
    """Check, and keep the pipeline on the server as a version that the UI can start.

    The version is named by what decides its contents: the commit, the image's digest, and a digest of the
    compiled pipeline. Raises InputError before anything is uploaded.
    """
    kubeflow, package = _ready(submission, target, console)
    digest = digest_of(submission.image)
    # Where nobody here knows the digest, the tag stands for it: ours never moves.
    image = digest.removeprefix("sha256:") if digest else submission.image.rpartition(":")[2]
    contents = hashlib.sha256(repr(list(yaml.safe_load_all(package.read_text()))).encode()).hexdigest()
    commit = git_commit()
    version = f"{commit.removesuffix('-dirty')[:12]}-{image[:12]}-{contents[:8]}"
    tags = {"commit": commit, "image": image}
    uploaded = kubeflow.upload(package, NAME, version, submission.description, tags)
    _say(console, f"{'Uploaded' if uploaded.new else 'There already'}: {NAME} {version}")
    return kubeflow, uploaded


def schedule(submission: Submission, target: Target, console: Console, cron: str) -> None:
    """Upload, and let Kubeflow run it again and again. Raises InputError before anything is scheduled."""
    require_cron(cron)
    kubeflow, version = upload(submission, target, console)
    experiment = submission.cluster.experiment
    recurring = kubeflow.schedule(version, submission.name, experiment, cron, submission.description)
    console.print(f"Scheduled: {recurring}, {cron}", soft_wrap=True)


def list_runs(cluster: Cluster, target: Target, console: Console) -> None:
    """Print the last runs: when, how they are, their names and addresses."""
    kubeflow = target.connect()
    runs = kubeflow.list_runs(cluster.experiment)
    for run in runs:
        created = run.created.astimezone().strftime("%Y-%m-%d %H:%M")
        _say(console, f"{created}  {run.state.lower():<9}  {run.name}  {kubeflow.address(run.run_id)}")
    if not runs:
        _say(console, f"no runs yet in the experiment {cluster.experiment}")


def _ready(submission: Submission, target: Target, console: Console) -> tuple[Kubeflow, Path]:
    """The API and the package, once everything is checked that can be checked from here."""
    kubeflow = target.connect()
    require_reference(submission.image)
    risks = [kubeflow.endpoint.warning] if kubeflow.endpoint.warning else []
    for warning in [*risks, *check(submission.experiments, submission.cluster, Path())]:
        if submission.check == "strict":
            raise InputError(warning)
        _say(console, f"warning: {warning}")
    package = LOCAL / "kubeflow" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}.yaml"
    package.parent.mkdir(parents=True, exist_ok=True)
    submission.compile(package)
    return kubeflow, package


def _say(console: Console, line: str) -> None:
    """As it is: names may hold what rich takes for markup."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
