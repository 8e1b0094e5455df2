"""An experiment of params.yaml, resolved: one lane of the pipeline.

Its sections (components.config.resolution) are checked as a whole: wrong types and impossible values are
refused in one line that names the key.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from components.config.bounds import require_seed
from components.config.document import PARAMS_FILE, Section, read
from components.config.names import require_name
from components.config.parsing import STRICT, from_document
from components.config.resolution import resolved, variants
from components.config.settings import Promotion, TaggedLearner, TaggedNetwork, TaggedTraining, Training
from components.kinds.table import KINDS, TaggedTasks
from metasgd.errors import InputError
from metasgd.learners import LEARNERS


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """compare: the algorithms that are run, in this order."""

    name: str
    kind: str
    tasks: TaggedTasks
    network: TaggedNetwork
    train: TaggedTraining
    algorithms: dict[str, TaggedLearner]
    compare: Annotated[list[str], Field(min_length=1)]
    promote: Promotion

    def training(self, algorithm: str, seed: int) -> Training:
        if algorithm not in self.algorithms:
            known = ", ".join(self.algorithms)
            raise InputError(f"{self.name}: algorithm {algorithm!r} is unknown; expected one of {known}")
        require_seed(seed, f"{self.name}: SEEDS")
        learner = self.algorithms[algorithm]
        return Training(self.name, algorithm, seed, self.network, learner, self.train)

    def trainings(self, seeds: Iterable[int]) -> list[Training]:
        """Every (algorithm, seed) of the lane, algorithms outermost."""
        return [self.training(algorithm, seed) for algorithm in self.compare for seed in seeds]


def load_experiment(name: str, overrides: Iterable[str] = (), path: Path = PARAMS_FILE) -> Experiment:
    """One experiment. Raises InputError for what is unknown or wrong, and for another one's overrides."""
    return load_experiments([name], overrides, path)[0]


def load_experiments(
    names: Sequence[str],
    overrides: Iterable[str] = (),
    path: Path = PARAMS_FILE,
    others: Sequence[str] = (),
) -> list[Experiment]:
    """Several experiments, each with the overrides for it.

    others: the sections whose overrides the caller reads himself.
    Raises InputError for experiments, keys and values that are wrong, and for an override that none of these
    experiments takes.
    """
    sections = resolved(names, overrides, path, others)
    return [_built(name, sections[name], f"{path}: {name}") for name in names]


def load_variants(
    name: str, overrides: Sequence[str], points: Iterable[Sequence[str]], path: Path = PARAMS_FILE
) -> list[Experiment]:
    """The experiment at every point: further overrides over those that all share. Raises InputError."""
    sections = variants(read(path), name, overrides, points)
    return [_built(name, section, f"{path}: {name}") for section in sections]


def _built(name: str, section: Section, where: str) -> Experiment:
    if section["kind"] not in KINDS:
        raise InputError(f"{where}.kind is {section['kind']!r}; expected one of {', '.join(KINDS)}")
    experiment = from_document(Experiment, {"name": name, **section}, where)
    _require_sense(experiment, where)
    return experiment


def _require_sense(experiment: Experiment, where: str) -> None:
    """What no single key can say about itself."""
    for algorithm in experiment.algorithms:
        require_name(algorithm, f"{where}: algorithm")
    for algorithm in experiment.compare:
        experiment.training(algorithm, seed=0)
    if len(set(experiment.compare)) < len(experiment.compare):
        raise InputError(f"{where}: compare is {experiment.compare}; expected every algorithm once")
    tasks, train = experiment.tasks, experiment.train
    if experiment.kind != tasks.kind:
        raise InputError(f"{where}: kind is {experiment.kind!r}; expected {tasks.kind!r}, its tasks'")
    kind = KINDS[tasks.kind]
    if train.optimiser != kind.optimiser:
        raise InputError(
            f"{where}: train.optimiser is {train.optimiser!r}; expected {kind.optimiser!r} "
            f"for tasks of kind {tasks.kind!r}"
        )
    if experiment.network.kind not in kind.networks:
        raise InputError(
            f"{where}: network.kind is {experiment.network.kind!r}; expected {' or '.join(kind.networks)} "
            f"for tasks of kind {tasks.kind!r}"
        )
    for algorithm in experiment.compare:
        learner = experiment.algorithms[algorithm]
        if learner.kind not in kind.learners:
            raise InputError(
                f"{where}: algorithms.{algorithm}.kind is {learner.kind!r}; expected "
                f"{' or '.join(kind.learners)} for tasks of kind {tasks.kind!r}"
            )
        if problem := LEARNERS[learner.kind].problem_with(experiment.network, learner):
            raise InputError(f"{where}: algorithms.{algorithm}: {problem}")
    shots = tasks.stored.test_shots
    if len(set(shots)) < len(shots):
        raise InputError(f"{where}: tasks.stored.test_shots is {shots}; expected every number once")
    if problem := tasks.problem_with(train):
        raise InputError(f"{where}: {problem}")
