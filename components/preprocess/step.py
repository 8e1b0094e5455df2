"""Episodes: decode the pictures, split the classes, and draw the fixed tasks once for everybody."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.episodes import SETS, image_distributions, write_episodes
from components.files import whole_folder
from components.parameters import ImageTasks, SinusoidTasks, StoredTasks, Tasks
from components.pictures import contact_sheet, save
from components.preprocess.class_images import SPLITS, ClassImages
from components.preprocess.sources import load_pictures
from metasgd.seeds import generator
from metasgd.tasks import TaskDistribution
from metasgd.tasks.sinusoid import Sinusoid

SHEET_TASKS, SHEET_QUERIES = 4, 3


def preprocess(tasks: Tasks, output: Path) -> None:
    """Write the episodes folder (see components.episodes), whole or not at all.

    Raises InputError for data that is missing or damaged, and for episodes that the classes cannot fill.
    """
    with whole_folder(output) as folder:
        if isinstance(tasks, SinusoidTasks):
            _sinusoid(tasks, folder)
        else:
            _images(tasks, folder)


def _sinusoid(tasks: SinusoidTasks, folder: Path) -> None:
    distribution = Sinusoid(tasks.distribution)
    manifest = {
        "source": "drawn from the distribution",
        "problem": {"objective": "regression", "input_shape": [1], "outputs": 1},
        "notes": [f"{tasks.stored.test_queries} evenly spaced points score a curve"],
    }
    fixed = {name: _draw(distribution, tasks.stored, name, tasks.seed) for name in SETS}
    write_episodes(folder, manifest, tasks, fixed, images={})


def _images(tasks: ImageTasks, folder: Path) -> None:
    pictures = load_pictures(tasks.source, tasks.seed)
    stored = _by_split(pictures)
    distributions = image_distributions(tasks, stored)
    fixed = {name: _draw(distributions[name], tasks.stored, name, tasks.seed) for name in SETS}
    write_episodes(folder, _manifest(tasks, pictures), tasks, fixed, stored)
    sheet = _sheet(distributions["test"], fixed["test"], tasks)
    save(contact_sheet(sheet.numpy(), tasks.stored.test_shots[0]), folder / "contact-sheet.png")


def _draw(distribution: TaskDistribution, stored: StoredTasks, name: str, seed: int) -> dict[str, Tensor]:
    count = {"validation": stored.validation, "gate": stored.gate, "test": stored.test}[name]
    return distribution.draw_fixed(
        count, max(stored.test_shots), stored.test_queries, generator(seed, f"{name} tasks")
    )


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
        f"{tasks.stored.test_queries} query pictures per class score a test task",
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
