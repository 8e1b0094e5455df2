"""Sine regression, section 5.1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic.dataclasses import dataclass as settings

from components.artifacts.checkpoint import Trained
from components.artifacts.episodes import SETS, Description, Episodes, write_episodes
from components.config.parsing import STRICT, from_document
from components.config.settings import TaskSettings
from components.kinds.supervised import Supervised, draw_set
from metasgd.configuration import SinusoidSettings
from metasgd.evaluation import predictions
from metasgd.learner import Problem
from metasgd.tasks import Batch, TaskDistribution
from metasgd.tasks.sinusoid import Sinusoid as Curves

if TYPE_CHECKING:
    from components.datasets.pinned import Pin

PANELS = 3  # test curves in the figure


@settings(frozen=True, config=STRICT)
class SinusoidTasks(TaskSettings):
    kind: Literal["sinusoid"]
    distribution: SinusoidSettings

    def draw(self, folder: Path, pinned: "Pin | None" = None) -> list[str]:
        curves = Curves(self.distribution)
        description = Description(
            source="drawn from the distribution",
            problem=Problem("regression", input_shape=(1,), outputs=1),
            notes=[f"{self.stored.test_queries} evenly spaced points score a curve"],
        )
        stored = {name: draw_set(curves, self, name) for name in SETS}
        write_episodes(folder, description, self, stored)
        return []


@dataclass(frozen=True)
class Sinusoid(Supervised[SinusoidTasks]):
    """Implements `components.kinds.kind.Kind`."""

    schema: ClassVar[type[TaskSettings]] = SinusoidTasks

    @classmethod
    def of(cls, episodes: Episodes) -> Self:
        return cls(from_document(SinusoidTasks, episodes.manifest.tasks, str(episodes.folder)), episodes)

    def distribution(self, name: str) -> TaskDistribution:
        return Curves(self.parameters.distribution)

    def draw(self, trained: Trained, lane: Sequence[Trained], folder: Path) -> None:
        from components.plots.sine_fits import sine_fits
        from components.plots.style import save

        super().draw(trained, lane, folder)
        figure = sine_fits(self._fits(trained), trained.learner.settings.test_steps)
        save(figure, folder / "sine-fits.svg")

    def _fits(self, trained: Trained) -> list[dict[str, Any]]:
        """Figure 3: some test curves; the last has all its support points on the left half."""
        shots = self.parameters.reported_shots
        stored = {key: value[:PANELS].clone() for key, value in self.episodes.stored["test"].items()}
        stored["support_x"][-1] = -stored["support_x"][-1].abs()
        batch = self.distribution("test").stored_batch(stored, shots, self.parameters.stored.test_queries)
        steps = trained.learner.settings.test_steps
        outputs = predictions(trained.learner, trained.meta, batch, steps)[:, [0, -1], :, 0]
        titles = [f"{shots} points"] * (len(outputs) - 1) + [f"{shots} points, all on one side"]
        return [
            _fit(title, Batch(*(part[i] for part in batch)), outputs[i]) for i, title in enumerate(titles)
        ]


def _fit(title: str, task: Batch, outputs: torch.Tensor) -> dict[str, Any]:
    support_x, support_y, query_x, query_y = (tensor.flatten().tolist() for tensor in task)
    before, after = outputs.tolist()
    return {
        "title": title,
        "support_x": support_x,
        "support_y": support_y,
        "query_x": query_x,
        "truth": query_y,
        "before": before,
        "after": after,
    }
