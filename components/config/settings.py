"""What params.yaml can say whatever the kind of task: stored tasks, trainings, promotion, the default run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from components.config.parsing import STRICT, to_document
from components.config.preparation import Preparation
from metasgd.configuration import NetworkSettings, TrainingSettings, TrpoSettings
from metasgd.learner_settings import LearnerSettings

if TYPE_CHECKING:
    from components.datasets.pinned import Pin  # with boto3, which most runs need not import

SIZES = ("kind", "shots", "queries")  # of a distribution's tasks, whatever they are drawn from
Count = Annotated[int, Field(ge=1)]
TaggedNetwork = Annotated[NetworkSettings, Field(discriminator="kind")]
TaggedLearner = Annotated[LearnerSettings, Field(discriminator="kind")]
TaggedTraining = Annotated[TrainingSettings | TrpoSettings, Field(discriminator="optimiser")]


@dataclass(frozen=True, config=STRICT)
class StoredTasks:
    """How many tasks of each set are stored, and how they are scored.

    gate: at least 2, because the gate judges by an interval.
    test_shots: every entry is scored on the test tasks; the first is the number reported.
    """

    validation: Count
    gate: Annotated[int, Field(ge=2)]
    test: Count
    test_shots: Annotated[list[Count], Field(min_length=1)]
    test_queries: Count


@dataclass(frozen=True, config=STRICT)
class TaskSettings:
    """The section `tasks` of an experiment; each kind of task has a class of its own (components.kinds).

    distribution: the kind's own settings, with at least shots and queries.
    """

    kind: str
    distribution: Any
    stored: StoredTasks
    seed: Annotated[int, Field(ge=0)]

    @property
    def reported_shots(self) -> int:
        """The number of test shots that is reported."""
        return self.stored.test_shots[0]

    @property
    def files(self) -> str | None:
        """The folder or archive that the tasks are made of; None for those that are drawn."""
        return None

    @property
    def domain(self) -> str:
        """What the tasks are drawn from, in words; shots and queries may differ within one domain."""
        drawn = {key: value for key, value in to_document(self.distribution).items() if key not in SIZES}
        return f"{self.kind} ({', '.join(f'{key} {value}' for key, value in drawn.items())})"

    @property
    def preparation(self) -> Preparation | None:
        """Of the pictures that the tasks are made of; None for tasks without pictures."""
        return None

    @property
    def place(self) -> str:
        """Where the tasks come from, for messages."""
        return self.files or self.kind

    @property
    def has_validation(self) -> bool:
        """Whether the validation tasks are apart from those of meta-training."""
        return True

    def problem_with(self, train: TrainingSettings | TrpoSettings) -> str | None:
        """What no single key can say about itself: "key is value; expected …"."""
        return None

    def draw(self, folder: Path, pinned: "Pin | None" = None) -> list[str]:
        """Draw the stored tasks, into an episodes folder (components.artifacts.episodes).

        Returns what is odd about the data, in words.

        pinned: `files`, where they have to be downloaded first.
        Raises InputError for data that are missing or damaged, or cannot fill the tasks.
        """
        raise NotImplementedError


@dataclass(frozen=True, config=STRICT)
class Promotion:
    """dry_run: decide and record, but register nothing and move no alias."""

    dry_run: bool


@dataclass(frozen=True, config=STRICT)
class Training:
    """Everything the train step is told, besides its episodes."""

    experiment: str
    algorithm: str
    seed: int
    network: TaggedNetwork
    learner: TaggedLearner
    train: TaggedTraining

    @property
    def name(self) -> str:
        """As files are named after it."""
        return f"{self.algorithm}-seed{self.seed}"

    @property
    def title(self) -> str:
        """As people are told of it."""
        return f"{self.experiment} {self.algorithm} seed {self.seed}"


@dataclass(frozen=True, config=STRICT)
class Run:
    """What `make pipeline-run` does when it is told nothing else."""

    experiments: list[str]
    seeds: list[int]
