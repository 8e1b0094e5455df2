"""N-way K-shot classification of pictures, section 5.2."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import torch
from pydantic.dataclasses import dataclass as settings
from torch import Tensor

from components.artifacts.checkpoint import Trained
from components.artifacts.episodes import SETS, Description, Episodes, write_episodes
from components.config.parsing import STRICT, from_document
from components.config.preparation import Preparation
from components.config.settings import TaskSettings
from components.config.sources import GENERATED, ImageSource
from components.kinds.image_classes import few_sets_of_classes, require_enough
from components.kinds.supervised import Supervised, draw_set
from metasgd.configuration import EpisodeSettings, TrainingSettings, TrpoSettings
from metasgd.errors import InputError
from metasgd.learner import Learner, Problem
from metasgd.learner_settings import ComparingSettings, GradientSettings
from metasgd.learners import LEARNERS
from metasgd.tasks import TaskDistribution
from metasgd.tasks.images import ClassIndex, ImageEpisodes, with_rotations

if TYPE_CHECKING:
    from components.datasets.class_images import ClassImages
    from components.datasets.pinned import Pin

SHEET = "contact-sheet.png"
SHEET_TASKS, SHEET_QUERIES = 4, 3


@settings(frozen=True, config=STRICT)
class ImageTasks(TaskSettings):
    kind: Literal["images"]
    source: ImageSource
    distribution: EpisodeSettings

    @property
    def files(self) -> str | None:
        return None if self.source.name in GENERATED else self.source.path

    @property
    def domain(self) -> str:
        return self.source.name if self.source.name != "folder" else f"folder {self.source.path}"

    @property
    def preparation(self) -> Preparation:
        return self.source.preparation

    @property
    def place(self) -> str:
        return self.files or self.source.name

    @property
    def has_validation(self) -> bool:
        return not self.source.final

    def problem_with(self, train: TrainingSettings | TrpoSettings) -> str | None:
        if self.source.final and train.select != "last":
            return "train.select is 'best'; expected 'last', as tasks.source.final is true"
        return None

    def draw(self, folder: Path, pinned: "Pin | None" = None) -> list[str]:
        # Not at the top, as in `draw`: other steps need neither torchvision nor boto3.
        from components.datasets.oddities import oddities
        from components.datasets.pinned import at_hand
        from components.datasets.sources import load_pictures
        from components.plots.contact_sheet import contact_sheet
        from components.plots.style import save

        with at_hand(self.source, pinned) as source:
            pictures = load_pictures(source, self.seed)
        require_enough(self, pictures)
        odd = [*oddities(pictures), *few_sets_of_classes(self, pictures)]
        images = pictures.by_split()
        distributions = split_distributions(self, images)
        stored = {name: draw_set(distributions[name], self, name) for name in SETS}
        write_episodes(folder, _description(self, pictures, odd), self, stored, images)
        sheet = _sheet(distributions["test"], stored["test"], self)
        save(contact_sheet(sheet.numpy(), self.stored.test_shots[0]), folder / SHEET)
        return odd


@dataclass(frozen=True)
class Images(Supervised[ImageTasks]):
    """Implements `components.kinds.kind.Kind`. distributions: p(T) per set."""

    distributions: Mapping[str, ImageEpisodes]
    schema: ClassVar[type[TaskSettings]] = ImageTasks
    learners: ClassVar[tuple[str, ...]] = tuple(LEARNERS)

    @classmethod
    def of(cls, episodes: Episodes) -> Self:
        tasks = from_document(ImageTasks, episodes.manifest.tasks, str(episodes.folder))
        return cls(tasks, episodes, split_distributions(tasks, episodes.images()))

    def distribution(self, name: str) -> TaskDistribution:
        return self.distributions[name]

    def in_training(self, learner: Learner) -> tuple[Learner, TaskDistribution]:
        """On tasks of more classes than it is for, where its settings say so. Raises InputError."""
        settings, tasks = learner.settings, self.distributions["train"]
        ways = settings.ways if isinstance(settings, GradientSettings | ComparingSettings) else 0
        if not ways:
            return learner, tasks
        if ways > len(tasks.index):
            raise InputError(
                f"{self.parameters.place}: ways of kind {settings.kind} is {ways}; expected at most "
                f"{len(tasks.index)}, the training classes"
            )
        wider = replace(learner, problem=replace(learner.problem, outputs=ways))
        return wider, replace(tasks, settings=replace(tasks.settings, ways=ways))

    def draw_lane(self, lane: Sequence[Trained], folder: Path) -> list[Path]:
        sheet = self.episodes.folder / SHEET
        return [Path(shutil.copy(sheet, folder / "figures" / SHEET))] if sheet.exists() else []


def split_distributions(tasks: ImageTasks, stored: Mapping[str, Tensor]) -> dict[str, ImageEpisodes]:
    """p(T) for each set of classes; validation and gate tasks share the validation classes.

    stored: as `components.artifacts.episodes.Episodes.images`. A final training has no validation classes:
        there, tasks of training classes take their place.
    """

    def episodes(split: str, rotated: bool) -> ImageEpisodes:
        images, index = stored[f"{split}/images"], ClassIndex.of(stored[f"{split}/sizes"])
        if rotated:
            images, index = with_rotations(images, index)
        return ImageEpisodes(tasks.distribution, images, index)

    source = tasks.source
    validation = episodes("train" if source.final else "validation", source.rotate_test)
    return {
        "train": episodes("train", source.rotations),
        "validation": validation,
        "gate": validation,
        "test": episodes("test", source.rotate_test),
    }


def _description(tasks: ImageTasks, pictures: "ClassImages", odd: Sequence[str]) -> Description:
    shape, outputs = tuple(pictures.images.shape[1:]), tasks.distribution.ways
    return Description(
        source=pictures.fingerprint,
        problem=Problem("classification", input_shape=shape, outputs=outputs),
        notes=[*_notes(tasks, pictures), *(f"odd about the data: {line}" for line in odd)],
        classes={split: len(names) for split, names in pictures.classes.items()},
        images={split: sum(counts) for split, counts in pictures.counts.items()},
    )


def _notes(tasks: ImageTasks, pictures: "ClassImages") -> list[str]:
    source = tasks.source
    turned = {True: "turned by 90, 180 and 270 degrees as new classes", False: "not turned"}
    classes = ", ".join(f"{len(names)} {split}" for split, names in pictures.classes.items())
    notes = [
        f"{source.name}: {classes} classes, {source.size}x{source.size}",
        f"training classes {turned[source.rotations]}",
        f"test classes {turned[source.rotate_test]}",
        f"{tasks.distribution.ways} ways, {tasks.stored.test_queries} query pictures per class in a test",
    ]
    if source.final:
        notes.append("final: trained on the joined train and validation classes, no checkpoint selection")
    return notes


def _sheet(distribution: TaskDistribution, stored: Mapping[str, Tensor], tasks: ImageTasks) -> Tensor:
    """Some test episodes as uint8 [tasks, ways, shots + queries, channels, height, width]."""
    shots = tasks.stored.test_shots[0]
    some = {key: value[:SHEET_TASKS] for key, value in stored.items()}
    batch = distribution.stored_batch(some, shots, min(SHEET_QUERIES, tasks.stored.test_queries))

    def by_class(x: Tensor) -> Tensor:
        return (x * 255).to(torch.uint8).reshape(len(x), tasks.distribution.ways, -1, *x.shape[2:])

    return torch.cat([by_class(batch.support_x), by_class(batch.query_x)], dim=2)
