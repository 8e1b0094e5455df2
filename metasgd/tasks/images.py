"""N-way K-shot classification episodes (section 5.2) from pictures that are sorted by class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from metasgd.configuration import EpisodeSettings
from metasgd.errors import InputError
from metasgd.tasks import Batch, to_device


@dataclass(frozen=True)
class ClassIndex:
    """Where each class lies in the flat tensor of pictures.

    starts: int64 [classes], position of the first picture; sizes: int64 [classes], their number.
    """

    starts: Tensor
    sizes: Tensor

    @staticmethod
    def of(sizes: Tensor) -> "ClassIndex":
        """Classes that lie one after the other."""
        return ClassIndex(sizes.cumsum(0) - sizes, sizes)

    def __len__(self) -> int:
        return len(self.starts)


def with_rotations(images: Tensor, index: ClassIndex) -> tuple[Tensor, ClassIndex]:
    """Every class four times: as it is, and turned by 90, 180 and 270 degrees.

    images: [images, channels, size, size]; the result holds 4 x images, 4 x classes.
    """
    turned = torch.cat([images.rot90(quarter, dims=(2, 3)) for quarter in range(4)])
    starts = torch.cat([index.starts + quarter * len(images) for quarter in range(4)])
    return turned, ClassIndex(starts, index.sizes.repeat(4))


@dataclass(frozen=True)
class ImageEpisodes:
    """p(T) over episodes. Implements `metasgd.tasks.TaskDistribution`.

    images: uint8 [images, channels, height, width]. They may lie on a GPU: tasks are
        positions that are drawn on the CPU, the same ones everywhere, and pick pictures there.
    Raises InputError where the classes cannot fill an episode.
    """

    settings: EpisodeSettings
    images: Tensor
    index: ClassIndex

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        shots, queries = self.settings.shots, self.settings.queries
        return self._batch(self._draw(count, shots + queries, generator), shots)

    def draw_stored(
        self, count: int, shots: int, queries: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Positions of the pictures, int32 [tasks, ways, shots + queries]."""
        return {"pictures": self._draw(count, shots + queries, generator).int()}

    def stored_batch(self, stored: dict[str, Tensor], shots: int, queries: int) -> Batch:
        pictures = stored["pictures"].long()
        most = pictures.shape[-1] - queries
        if shots > most:
            raise InputError(f"shots is {shots}; expected at most {most}, which the tasks were stored with")
        return self._batch(torch.cat([pictures[..., :shots], pictures[..., -queries:]], dim=-1), shots)

    def _draw(self, count: int, pictures: int, generator: torch.Generator) -> Tensor:
        """Distinct classes, and distinct pictures of each: int64 [count, ways, pictures]."""
        ways = self.settings.ways
        self._require(ways, pictures)
        classes = torch.rand((count, len(self.index)), generator=generator).topk(ways, dim=1).indices
        sizes = self.index.sizes[classes].unsqueeze(-1)
        largest = int(self.index.sizes.max())
        lottery = torch.rand((count, ways, largest), generator=generator)
        lottery = lottery.masked_fill(torch.arange(largest) >= sizes, -1.0)
        return self.index.starts[classes].unsqueeze(-1) + lottery.topk(pictures, dim=2).indices

    def _require(self, ways: int, pictures: int) -> None:
        if ways > len(self.index):
            raise InputError(
                f"distribution.ways is {ways}; expected at most the {len(self.index)} classes there are"
            )
        smallest = int(self.index.sizes.min())
        if pictures > smallest:
            raise InputError(
                f"shots + queries is {pictures}; expected at most {smallest}, the smallest class's pictures"
            )

    def _batch(self, pictures: Tensor, shots: int) -> Batch:
        """Examples by class, then by picture: [tasks, ways * pictures, channels, height, width]."""
        support, query = pictures[..., :shots], pictures[..., shots:]
        return Batch(*self._examples(support), *self._examples(query))

    def _examples(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        tasks, ways, each = pictures.shape
        x = self.images[to_device(pictures.flatten(1), self.images.device)].float() / 255
        y = torch.arange(ways, device=x.device).repeat_interleave(each).expand(tasks, -1)
        return x, y
