"""params.yaml, read and checked: every experiment, resolved with its overrides.

An experiment is `defaults.<kind>` with the experiment's own keys merged over it, then the
overrides of the command line. The result is checked as a whole: unknown keys, wrong types and
impossible values are refused in one line that names the key.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from omegaconf import OmegaConf
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from metasgd.configuration import (
    DYNAMICS,
    NETWORKS,
    DynamicsSettings,
    EpisodeSettings,
    LearnerSettings,
    NetworkSettings,
    SinusoidSettings,
    TrainingSettings,
    TrpoSettings,
)
from metasgd.errors import InputError

PARAMS_FILE = Path("params.yaml")
SECTIONS = ("run", "kubeflow", "defaults")  # what is no experiment
STRICT = pydantic.ConfigDict(extra="forbid", strict=True)
OPEN = (".algorithms", ".layers", ".node_selector")  # sections that may gain names
T = TypeVar("T")
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class StoredTasks:
    """How many tasks of each set are stored, and how they are scored.

    test_shots: every entry is scored on the test tasks; the first is the number reported.
    """

    validation: Count
    gate: Count
    test: Count
    test_shots: Annotated[list[Count], Field(min_length=1)]
    test_queries: Count


@dataclass(frozen=True, config=STRICT)
class SinusoidTasks:
    kind: Literal["sinusoid"]
    distribution: SinusoidSettings
    stored: StoredTasks
    seed: int


@dataclass(frozen=True, config=STRICT)
class ImageSource:
    """Where the pictures come from and how their classes are split.

    path: the archive's or folder's place; ignored by sources that are generated.
    channels: 1 for grey, 3 for colour.
    rotations: turn the meta-training classes by 90, 180 and 270 degrees as new classes.
    rotate_test: do so for validation and test classes too.
    split: shares of train / validation / test classes, drawn by the seed, where the source has
        no split of its own.
    final: train on the joined train and validation classes, without selecting a checkpoint.
    """

    name: Literal["glyphs", "omniglot", "miniimagenet", "folder"]
    path: str
    size: Count
    channels: Literal[1, 3]
    rotations: bool
    rotate_test: bool
    split: tuple[float, float, float]
    final: bool


@dataclass(frozen=True, config=STRICT)
class ImageTasks:
    kind: Literal["images"]
    source: ImageSource
    distribution: EpisodeSettings
    stored: StoredTasks
    seed: int


@dataclass(frozen=True, config=STRICT)
class StoredRollouts(StoredTasks):
    """test_steps: inner steps that are scored on the test tasks, though fewer may count as adapted."""

    test_steps: Count


@dataclass(frozen=True, config=STRICT)
class ControlTasks:
    kind: Literal["control"]
    distribution: DynamicsSettings
    stored: StoredRollouts
    seed: int


Tasks = SinusoidTasks | ImageTasks | ControlTasks
TaggedTasks = Annotated[Tasks, Field(discriminator="kind")]
TaggedTraining = Annotated[TrainingSettings | TrpoSettings, Field(discriminator="optimiser")]


@dataclass(frozen=True, config=STRICT)
class Promotion:
    """dry_run: decide and record, but register nothing and move no alias."""

    dry_run: bool


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """One lane of the pipeline. compare: the algorithms that are run, in this order."""

    name: str
    kind: Literal["sinusoid", "images", "control"]
    tasks: TaggedTasks
    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    train: TaggedTraining
    algorithms: dict[str, LearnerSettings]
    compare: Annotated[list[str], Field(min_length=1)]
    promote: Promotion

    def training(self, algorithm: str, seed: int) -> "Training":
        if algorithm not in self.algorithms:
            known = ", ".join(self.algorithms)
            raise InputError(f"{self.name}: algorithm {algorithm!r} is unknown; expected one of {known}")
        learner = self.algorithms[algorithm]
        return Training(self.name, algorithm, seed, self.network, learner, self.train)

    def trainings(self, seeds: Iterable[int]) -> list["Training"]:
        """Every (algorithm, seed) of the lane, algorithms outermost."""
        return [self.training(algorithm, seed) for algorithm in self.compare for seed in seeds]


@dataclass(frozen=True, config=STRICT)
class Training:
    """Everything the train step is told, besides its episodes."""

    experiment: str
    algorithm: str
    seed: int
    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    learner: LearnerSettings
    train: TaggedTraining


@dataclass(frozen=True)
class Origin:
    """Of a `Training`, what tells it from its siblings: readable whatever other parameters it had."""

    algorithm: str
    seed: int


@dataclass(frozen=True, config=STRICT)
class Run:
    """What `make pipeline-run` does when it is told nothing else."""

    experiments: list[str]
    seeds: list[int]


def to_json(settings: Any, indent: int | None = None) -> str:
    """The settings as one JSON string: what the pipeline hands to a step."""
    return TypeAdapter(type(settings)).dump_json(settings, indent=indent).decode()


def from_json(kind: type[T], text: str, where: str = "parameters") -> T:
    """Rebuild settings from `to_json`. Raises InputError naming the key that is wrong."""
    settings: T = _parse(TypeAdapter(kind), text, where)
    return settings


def tasks_from_json(text: str, where: str = "parameters") -> Tasks:
    """Rebuild the parameters of tasks, of whichever kind they are."""
    settings: Tasks = _parse(TypeAdapter(TaggedTasks), text, where)
    return settings


def _parse(adapter: TypeAdapter[Any], text: str, where: str) -> Any:
    try:
        return adapter.validate_json(text)
    except pydantic.ValidationError as error:
        raise InputError(f"{where}: {_first_problem(error)}") from None


def load_run(params: Path = PARAMS_FILE) -> Run:
    return from_json(Run, _json(_read(params).get("run", {})), f"{params}: run")


def load_section(kind: type[T], name: str, overrides: Iterable[str], params: Path = PARAMS_FILE) -> T:
    """A section that is no experiment, with the overrides addressed to it ("kubeflow.gpu.count=0")."""
    merged = _read(params).get(name, {})
    known = [*experiment_names(params), *SECTIONS]
    for override in overrides:
        if override.startswith(f"{name}."):
            merged = _merge(merged, _addressed(override, name, known), f"SET {override!r}")
    return from_json(kind, _json(merged), f"{params}: {name}")


def load_experiment(name: str, overrides: Iterable[str] = (), params: Path = PARAMS_FILE) -> Experiment:
    """Resolve one experiment.

    overrides: "train.iterations=2000" for every experiment that is asked for, or
        "sinusoid-5shot.train.iterations=2000" for one.
    Raises InputError for unknown experiments and keys, and for values of the wrong type.
    """
    document = _read(params)
    known = experiment_names(params)
    if name not in known:
        raise InputError(f"{params}: experiment {name!r} is unknown; expected one of {', '.join(known)}")
    own = document[name]
    kind = own.get("kind")
    defaults = document["defaults"].get(kind)
    if defaults is None:
        kinds = ", ".join(document["defaults"])
        raise InputError(f"{params}: {name}.kind is {kind!r}; expected one of {kinds}")
    merged = _merge({"kind": kind, **defaults}, own, f"{params}: {name}")
    for override in overrides:
        merged = _merge(merged, _addressed(override, name, [*known, *SECTIONS]), f"SET {override!r}")
    experiment = from_json(Experiment, _json({"name": name, **merged}), f"{params}: {name}")
    _require_sense(experiment, f"{params}: {name}")
    return experiment


def _require_sense(experiment: Experiment, where: str) -> None:
    """What no single key can say about itself."""
    for algorithm in experiment.compare:
        experiment.training(algorithm, seed=0)
    if len(set(experiment.compare)) < len(experiment.compare):
        raise InputError(f"{where}: compare is {experiment.compare}; expected every algorithm once")
    if experiment.kind != experiment.tasks.kind:
        raise InputError(
            f"{where}: kind is {experiment.kind!r}; expected {experiment.tasks.kind!r}, its tasks'"
        )
    tasks = experiment.tasks
    optimiser, network = ("trpo", "policy") if tasks.kind == "control" else ("adam", None)
    if experiment.train.optimiser != optimiser:
        raise InputError(
            f"{where}: train.optimiser is {experiment.train.optimiser!r}; expected {optimiser!r} "
            f"for tasks of kind {tasks.kind!r}"
        )
    if (experiment.network.kind == "policy") != (network == "policy"):
        raise InputError(
            f"{where}: network.kind is {experiment.network.kind!r}; expected 'policy' for tasks of kind "
            "'control', and for no others"
        )
    shots = tasks.stored.test_shots
    if len(set(shots)) < len(shots):
        raise InputError(f"{where}: tasks.stored.test_shots is {shots}; expected every number once")
    if isinstance(tasks, ImageTasks) and tasks.source.final and experiment.train.select != "last":
        raise InputError(f"{where}: train.select is 'best'; expected 'last', as tasks.source.final is true")


def experiment_names(params: Path = PARAMS_FILE) -> list[str]:
    return [name for name in _read(params) if name not in SECTIONS]


def _read(params: Path) -> dict[str, Any]:
    try:
        document = OmegaConf.to_container(OmegaConf.load(params))
    except FileNotFoundError:
        raise InputError(f"{params}: no such file; expected the experiments' parameters") from None
    except (yaml.YAMLError, OSError) as error:
        raise InputError(f"{params}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or "defaults" not in document:
        raise InputError(f"{params}: expected a mapping with the keys run, defaults and experiments")
    return {str(key): value for key, value in document.items()}


def _addressed(override: str, name: str, known: list[str]) -> dict[str, Any]:
    """The override as nested keys; empty when it is addressed to another experiment."""
    key, equals, _ = override.partition("=")
    if not equals or not key:
        raise InputError(f"SET {override!r}: expected key=value, as in train.iterations=2000")
    try:
        nested: Any = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"SET {override!r}: the value is not readable as YAML: {reason}") from None
    first = key.split(".")[0]
    if first in known:
        if not isinstance(nested[first], Mapping):
            raise InputError(
                f"SET {override!r}: expected a key of the experiment, as in {first}.train.rate=1"
            )
        return dict(nested[first]) if first == name else {}
    return {str(key): value for key, value in nested.items()}


def _merge(base: Mapping[str, Any], changes: Any, where: str) -> dict[str, Any]:
    """`changes` over `base`, section by section; a section of another kind takes the place of its base.

    Only sections whose keys are names of the user's own may gain some.
    """
    if not isinstance(changes, Mapping):
        raise InputError(f"{where}: is {changes!r}; expected a section with the keys {', '.join(base)}")
    if "kind" in base and changes.get("kind", base["kind"]) != base["kind"]:
        return dict(changes)
    merged = dict(base)
    for key, value in changes.items():
        if key not in base and not where.endswith(OPEN):
            raise InputError(f"{where}: key {key!r} is unknown; expected one of {', '.join(base)}")
        section = base.get(key)
        merged[key] = _merge(section, value, f"{where}.{key}") if isinstance(section, Mapping) else value
    return merged


def _json(document: Any) -> str:
    return json.dumps(document)


def _first_problem(error: pydantic.ValidationError) -> str:
    problem = error.errors()[0]
    # A union's location carries the tag it chose; a user only wrote the keys.
    tags = {"sinusoid", "images", "control", "adam", "trpo", *NETWORKS, *DYNAMICS}
    key = ".".join(str(part) for part in problem["loc"] if part not in tags)
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, Mapping) else f" (found {value!r})"
    return f"{key}: {message}{shown}"
