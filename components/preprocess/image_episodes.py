"""Episodes from pictures: decode, split by class, and draw the fixed tasks."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.episodes import SETS, draw_fixed, image_distributions, write_episodes
from components.parameters import ImageSource, ImageTasks
from components.pictures import contact_sheet, save
from components.preprocess.class_images import SPLITS, ClassImages
from components.preprocess.pinned import Pin, download
from components.preprocess.sources import load_pictures
from components.s3 import client
from metasgd.tasks import TaskDistribution

SHEET_TASKS, SHEET_QUERIES = 4, 3


def write_image_episodes(tasks: ImageTasks, folder: Path, pinned: Pin | None = None) -> None:
    """Load the source's pictures, draw the fixed tasks, and lay out some episodes as a contact sheet.

    pinned: the source's files, where they have to be downloaded.
    """
    with _at_hand(tasks.source, pinned) as source:
        pictures = load_pictures(source, tasks.seed)
    stored = _by_split(pictures)
    distributions = image_distributions(tasks, stored)
    fixed = {name: draw_fixed(distributions[name], tasks, name) for name in SETS}
    write_episodes(folder, _manifest(tasks, pictures), tasks, fixed, stored)
    sheet = _sheet(distributions["test"], fixed["test"], tasks)
    save(contact_sheet(sheet.numpy(), tasks.stored.test_shots[0]), folder / "contact-sheet.png")


@contextmanager
def _at_hand(source: ImageSource, pinned: Pin | None) -> Iterator[ImageSource]:
    """The source with its files: in place, or in a temporary folder that stays out of what is written."""
    if pinned is None:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="metasgd-") as temporary, closing(client()) as s3:
        place = Path(temporary) / Path(source.path).name  # datasets/birds/birds.zip is found by its name
        download(pinned, place, s3)
        yield replace(source, path=str(place))


def _by_split(pictures: ClassImages) -> dict[str, Tensor]:
    sizes = {split: torch.tensor(pictures.counts[split], dtype=torch.int64) for split in SPLITS}
    parts = torch.split(pictures.images, [int(sizes[split].sum()) for split in SPLITS])
    images = {f"{split}/images": part.contiguous() for split, part in zip(SPLITS, parts, strict=True)}
    return images | {f"{split}/sizes": sizes[split] for split in SPLITS}


def _manifest(tasks: ImageTasks, pictures: ClassImages) -> Mapping[str, Any]:
    shape = list(pictures.images.shape[1:])
    return {
        "source": pictures.fingerprint,
        "problem": {
            "objective": "classification",
            "input_shape": shape,
            "outputs": tasks.distribution.ways,
        },
        "classes": {split: len(pictures.classes[split]) for split in SPLITS},
        "images": {split: sum(pictures.counts[split]) for split in SPLITS},
        "notes": _notes(tasks, pictures),
    }


def _notes(tasks: ImageTasks, pictures: ClassImages) -> list[str]:
    """What a reader must know of the protocol to compare a score."""
    source = tasks.source
    turned = {True: "turned by 90, 180 and 270 degrees as new classes", False: "not turned"}
    classes = ", ".join(f"{len(pictures.classes[split])} {split}" for split in SPLITS)
    notes = [
        f"{source.name}: {classes} classes, {source.size}x{source.size}",
        f"training classes {turned[source.rotations]}",
        f"test classes {turned[source.rotate_test]}",
        f"{tasks.distribution.ways} ways, {tasks.stored.test_queries} query pictures per class in a test",
    ]
    if source.final:
        notes.append("final: trained on the joined train and validation classes, no checkpoint selection")
    return notes


def _sheet(distribution: TaskDistribution, fixed: Mapping[str, Tensor], tasks: ImageTasks) -> Tensor:
    """Some test episodes as uint8 [tasks, ways, shots + queries, channels, height, width]."""
    shots = tasks.stored.test_shots[0]
    some = {key: value[:SHEET_TASKS] for key, value in fixed.items()}
    batch = distribution.fixed_batch(some, shots, min(SHEET_QUERIES, tasks.stored.test_queries))

    def by_class(x: Tensor) -> Tensor:
        return (x * 255).to(torch.uint8).reshape(len(x), tasks.distribution.ways, -1, *x.shape[2:])

    return torch.cat([by_class(batch.support_x), by_class(batch.query_x)], dim=2)
