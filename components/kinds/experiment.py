"""An experiment of params.yaml, resolved: one lane of the pipeline.

It is `defaults.<kind>` with the experiment's own keys merged over it, then the overrides of the command line.
The result is checked as a whole: unknown keys, wrong types and impossible values are refused in one line that
names the key.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from components.config.bounds import require_bounded, require_seed
from components.config.document import DEFAULTS, PARAMS_FILE, Document, Override, merge, parse_override, read
from components.config.names import require_name
from components.config.parsing import STRICT, from_document
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
    document = read(path)
    for name in names:
        if name not in document.experiments:
            known = ", ".join(document.experiments)
            raise InputError(f"{path}: experiment {name!r} is unknown; expected one of {known}")
    parsed = [parse_override(text, document) for text in overrides]
    for override in parsed:
        if override.to not in (None, *names, *others):
            raise InputError(
                f"SET {override.text!r}: {override.to} is not run; expected a key of {', '.join(names)}"
            )
    return [_load(document, name, [one for one in parsed if one.to in (None, name)]) for name in names]


def _load(document: Document, name: str, overrides: Sequence[Override]) -> Experiment:
    where = f"{document.path}: {name}"
    require_name(name, f"{document.path}: experiment")
    own, defaults = document.section(name), document.section(DEFAULTS)
    kind = own.get("kind")
    if not isinstance(kind, str) or kind not in defaults or kind not in KINDS:
        known = ", ".join(known for known in defaults if known in KINDS)
        raise InputError(f"{where}.kind is {kind!r}; expected one of {known}")
    if not isinstance(defaults[kind], dict):
        raise InputError(f"{document.path}: defaults.{kind} is {defaults[kind]!r}; expected a section")
    merged = merge({"kind": kind, **defaults[kind]}, own, where)
    for override in overrides:
        if (other := override.changes.get("kind", kind)) != kind:
            raise InputError(f"SET {override.text!r}: kind is {other!r}; expected {kind!r}, which {name} has")
        merged = override.applied(merged)
    require_bounded(merged, where)
    experiment = from_document(Experiment, {"name": name, **merged}, where)
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
