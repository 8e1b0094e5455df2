"""Tasks of small pictures, for learners that have no use for curves."""

import torch
from torch import Tensor

from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.tasks.images import ClassIndex, ImageEpisodes
from tests.metasgd.small import episode_settings


def pictures() -> Tensor:
    """Twelve classes of six pictures; a class's pictures are alike."""
    draw = generator(3, "pictures")
    classes = torch.randint(0, 200, (12, 1, 1, 6, 6), generator=draw)
    noise = torch.randint(0, 55, (12, 6, 1, 6, 6), generator=draw)
    return (classes + noise).to(torch.uint8).flatten(0, 1)


def episodes(ways: int = 3, shots: int = 2, queries: int = 2) -> ImageEpisodes:
    index = ClassIndex.of(torch.full((12,), 6))
    return ImageEpisodes(episode_settings(ways, shots, queries), pictures(), index)


def tasks(count: int, seed: int = 1, **sizes: int) -> Batch:
    return episodes(**sizes).sample(count, generator(seed, "tasks"))


def one(batch: Batch) -> Batch:
    return Batch(*(part[0] for part in batch))
