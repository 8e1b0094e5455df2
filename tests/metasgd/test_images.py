"""N-way K-shot episodes, read back from pictures whose pixels say class and position."""

import pytest
import torch
from torch import Tensor

from metasgd.errors import InputError
from metasgd.seeds import generator
from metasgd.tasks import Batch
from metasgd.tasks.images import ClassIndex, ImageEpisodes, with_rotations
from tests.metasgd.small import episode_settings

SIZES = [5, 9, 6, 12, 5, 7]


def coded(sizes: list[int]) -> tuple[Tensor, ClassIndex]:
    """One-pixel pictures: value 20 * class + number within the class."""
    values = [20 * label + number for label, size in enumerate(sizes) for number in range(size)]
    images = torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return images, ClassIndex.of(torch.tensor(sizes))


def episodes(ways: int = 3, shots: int = 2, queries: int = 3, sizes: list[int] = SIZES) -> ImageEpisodes:
    return ImageEpisodes(episode_settings(ways, shots, queries), *coded(sizes))


def codes(x: Tensor) -> Tensor:
    """The pictures' values, [tasks, pictures]."""
    return (x * 255).round().long().flatten(1)


def require_fair(batch: Batch, ways: int, sizes: list[int]) -> None:
    """Distinct classes, distinct pictures, labels that name the class, everything from the class's own."""
    support, query = codes(batch.support_x), codes(batch.query_x)
    for task in range(len(support)):
        pictures = torch.cat([support[task], query[task]])
        assert len(pictures.unique()) == len(pictures), "no picture comes twice"
        labels = torch.cat([batch.support_y[task], batch.query_y[task]])
        pairs = {(int(label), int(code) // 20) for label, code in zip(labels, pictures, strict=True)}
        assert len(pairs) == ways, "a label is one class"
        assert len({number for _, number in pairs}) == ways, "and a class has one label"
        assert all(int(code) % 20 < sizes[int(code) // 20] for code in pictures)


def test_episodes_are_fair() -> None:
    """Support and query are disjoint, classes distinct, labels right; of classes of different sizes too."""
    batch = episodes().sample(200, generator(1, "tasks"))
    assert [tuple(value.shape) for value in batch] == [
        (200, 6, 1, 1, 1),
        (200, 6),
        (200, 9, 1, 1, 1),
        (200, 9),
    ]
    require_fair(batch, 3, SIZES)
    assert batch.support_y[0].tolist() == [0, 0, 1, 1, 2, 2]
    seen = torch.cat([codes(batch.support_x), codes(batch.query_x)], dim=1).unique()
    assert len(seen) == sum(SIZES), "every picture is met, also the last of the largest class"


def test_support_pictures_are_drawn_anew() -> None:
    """Each picture of a class is equally often a support picture: 200 tasks, 3 of 6 classes, 2 pictures."""
    batch = episodes(sizes=[5] * 6).sample(600, generator(1, "tasks"))
    counts = torch.bincount(codes(batch.support_x).flatten())
    # 600 tasks * 3 of 6 classes * 2 of 5 pictures: 120 each, deviation about 10.
    assert 70 < int(counts[counts > 0].min()) <= int(counts.max()) < 170


def test_stored_tasks_are_fair_and_serve_fewer_shots() -> None:
    """Fewer shots use the first pictures of each class; the query pictures stay the same."""
    distribution = episodes()
    stored = distribution.draw_stored(50, 2, 3, generator(1, "tasks"))
    assert stored["pictures"].shape == (50, 3, 5)
    two, one = (distribution.stored_batch(stored, shots, 3) for shots in (2, 1))
    require_fair(two, 3, SIZES)
    require_fair(one, 3, SIZES)
    assert torch.equal(one.support_x, two.support_x[:, ::2])
    assert torch.equal(one.query_x, two.query_x)
    assert one.support_y[0].tolist() == [0, 1, 2]


def test_more_shots_than_stored_are_refused() -> None:
    """A task that was stored with one shot must not adapt on its own query pictures."""
    distribution = episodes()
    stored = distribution.draw_stored(5, 1, 3, generator(1, "tasks"))
    with pytest.raises(ValueError, match="2"):
        distribution.stored_batch(stored, 2, 3)


def test_tasks_are_new_every_time_and_decided_by_the_seed() -> None:
    """The same seed gives the same episodes, and a stream never the same ones again."""
    distribution = episodes()
    stream, again = generator(1, "tasks"), generator(1, "tasks")
    first, second = distribution.sample(20, stream), distribution.sample(20, stream)
    assert all(map(torch.equal, first, distribution.sample(20, again)))
    assert not torch.equal(first.support_x, second.support_x)


def test_pictures_are_scaled_to_one() -> None:
    """uint8 0 to 255 becomes float32 0 to 1."""
    images = torch.tensor([0, 255, 51, 102], dtype=torch.uint8).reshape(4, 1, 1, 1)
    index = ClassIndex.of(torch.tensor([2, 2]))
    batch = ImageEpisodes(episode_settings(2, 1, 1), images, index).sample(1, generator(1, "tasks"))
    values = torch.cat([batch.support_x, batch.query_x]).flatten()
    assert values.dtype == torch.float32
    assert sorted(values.tolist()) == pytest.approx([0, 0.2, 0.4, 1])


def test_rotations_are_classes_of_their_own() -> None:
    """Four times the classes, each turned by a quarter more, of the same pictures."""
    images = torch.arange(5 * 4, dtype=torch.uint8).reshape(5, 1, 2, 2)
    turned, index = with_rotations(images, ClassIndex.of(torch.tensor([2, 3])))
    assert len(index) == 8
    assert index.sizes.tolist() == [2, 3] * 4
    assert index.starts.tolist() == [0, 2, 5, 7, 10, 12, 15, 17]
    first = [turned[start, 0].tolist() for start in index.starts[::2]]
    assert first == [[[0, 1], [2, 3]], [[1, 3], [0, 2]], [[3, 2], [1, 0]], [[2, 0], [3, 1]]]
    assert torch.equal(turned[:5], images)


def test_class_index_lays_classes_one_after_the_other() -> None:
    """starts are the sums of the sizes before."""
    index = ClassIndex.of(torch.tensor([3, 1, 4]))
    assert index.starts.tolist() == [0, 3, 4]
    assert len(index) == 3


@pytest.mark.parametrize(
    ("ways", "shots", "queries", "line"),
    [
        (7, 1, 1, "distribution.ways is 7; expected at most the 6 classes there are"),
        (2, 3, 3, "shots + queries is 6; expected at most 5, the smallest class's pictures"),
    ],
)
def test_episodes_that_cannot_be_filled_are_refused(ways: int, shots: int, queries: int, line: str) -> None:
    """Too many ways or pictures: one line that says how many there are, when drawing and when storing."""
    distribution = episodes(ways, shots, queries)
    with pytest.raises(InputError) as sampled:
        distribution.sample(1, generator(1, "tasks"))
    with pytest.raises(InputError) as stored:
        distribution.draw_stored(1, shots, queries, generator(1, "tasks"))
    assert str(sampled.value) == str(stored.value) == line
