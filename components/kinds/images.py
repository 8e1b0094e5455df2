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
from metasgd.evaluation import predictions
from metasgd.learner import Learner, Problem
from metasgd.learner_settings import ComparingSettings, GradientSettings
from metasgd.learners import LEARNERS
from metasgd.tasks import Batch, TaskDistribution
from metasgd.tasks.images import ClassIndex, ImageEpisodes, with_rotations

if TYPE_CHECKING:
    from components.datasets.class_images import ClassImages
    from components.datasets.pinned import Pin
    from components.plots.prediction_sheet import Predicted

SHEET, PREDICTIONS = "contact-sheet.png", "predictions.png"
SHEET_TASKS, SHEET_QUERIES = 4, 3
PREDICTED_TASKS, PREDICTED_QUERIES, MOST_ROWS = 2, 4, 12


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

    def in_training(self, learner: Learner, device: torch.device) -> tuple[Learner, TaskDistribution]:
        """On tasks of more classes than it is for, where its settings say so; pictures lie on the device.

        Raises InputError.
        """
        settings, tasks = learner.settings, self.distributions["train"]
        tasks = replace(tasks, images=tasks.images.to(device))
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

    def draw(self, trained: Trained, lane: Sequence[Trained], folder: Path) -> None:
        """With some test tasks as they were scored: which predictions were right, before and after."""
        from components.plots.prediction_sheet import prediction_sheet
        from components.plots.style import save

        super().draw(trained, lane, folder)
        episodes, steps = self._predicted(trained), trained.learner.settings.test_steps
        save(prediction_sheet(episodes, steps), folder / PREDICTIONS)

    def _predicted(self, trained: Trained) -> "list[Predicted]":
        from components.plots.prediction_sheet import Predicted

        ways, shown = self.parameters.distribution.ways, slice(PREDICTED_QUERIES)
        count = max(1, min(PREDICTED_TASKS, MOST_ROWS // ways))
        batch = Batch(*(part[:count] for part in self.batch("test", self.parameters.reported_shots)))
        found = []
        for task in (Batch(*(part[place : place + 1] for part in batch)) for place in range(count)):
            support, queries = (by_class(part[0], ways).numpy() for part in (task.support_x, task.query_x))
            verdicts, accuracies = judged(trained, task)
            by_rows = verdicts.reshape(2, ways, -1)[..., shown].numpy()
            found.append(Predicted(support, queries[:, shown], by_rows, accuracies))
        return found

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

    ways = tasks.distribution.ways
    pairs = zip(batch.support_x, batch.query_x, strict=True)
    return torch.stack([torch.cat([by_class(part, ways) for part in pair], dim=1) for pair in pairs])


def by_class(pictures: Tensor, ways: int) -> Tensor:
    """uint8 [ways, pictures, ...] of [ways x pictures, channels, height, width] in 0..1, sorted by class."""
    return (pictures * 255).to(torch.uint8).reshape(ways, -1, *pictures.shape[1:])


def judged(trained: Trained, task: Batch) -> tuple[Tensor, tuple[float, float]]:
    """Verdicts [2, queries] before and after adaptation to one task, and accuracies, as scored.

    A verdict is 1 where a query is classified rightly, -1 where wrongly, 0 where two classes are as likely.
    """
    learner = trained.learner
    before, after = predictions(learner, trained.meta, task, learner.settings.test_steps)[0, [0, -1]]
    outputs = torch.stack([before, after])
    best = outputs.topk(2)
    rightly = (best.indices[..., 0] == task.query_y[0]).long() * 2 - 1
    decided = best.values[..., 0] > best.values[..., 1]
    scores = [float(learner.objective.score(output, task.query_y[0])) for output in (before, after)]
    return rightly * decided, (scores[0], scores[1])
