"""Whether the classes of pictures suffice for the tasks that are to be drawn from them."""

from math import comb
from typing import TYPE_CHECKING

from metasgd.errors import InputError

if TYPE_CHECKING:
    from components.datasets.class_images import ClassImages
    from components.kinds.images import ImageTasks

NAMED = 3  # classes that a message names
TURNS = 4  # of a class that is turned by 0, 90, 180 and 270 degrees


def require_enough(tasks: "ImageTasks", pictures: "ClassImages") -> None:
    """Raises InputError, whatever the seed would draw, that names the split and its smallest classes."""
    for split in pictures.classes:
        if split == "validation" and tasks.source.final:  # training classes take their place
            continue
        ways, have = tasks.distribution.ways, _classes(tasks, pictures, split)
        if have < ways:
            raise InputError(
                f"{tasks.place}: {split} has {have} {'class' if have == 1 else 'classes'}; expected "
                f"distribution.ways, {ways}, at least, of {_total(pictures)} in all"
            )
    need = {split: _pictures_needed(tasks, split) for split in pictures.classes}
    short = sorted(
        (count, f"{split} class {label!r} has {count} of {need[split]}")
        for split, labels in pictures.classes.items()
        for label, count in zip(labels, pictures.counts[split], strict=True)
        if count < need[split]
    )
    if short:
        lack = "class lacks" if len(short) == 1 else "classes lack"
        named = ", ".join(words for _, words in short[:NAMED]) + ("" if len(short) <= NAMED else ", ...")
        raise InputError(
            f"{tasks.place}: {len(short)} {lack} pictures: {named}; expected shots + queries of each"
        )


def few_sets_of_classes(tasks: "ImageTasks", pictures: "ClassImages") -> list[str]:
    """In words, where the test tasks are fewer sets of classes than they are tasks; else nothing."""
    classes, ways = _classes(tasks, pictures, "test"), tasks.distribution.ways
    sets, stored = comb(classes, ways), tasks.stored.test
    if sets >= stored:
        return []
    made = "one set of classes" if sets == 1 else f"{sets} different sets of classes"
    return [
        f"{classes} test classes for {ways} ways make {made}, so the interval over {stored} test tasks says "
        "little of other classes"
    ]


def _pictures_needed(tasks: "ImageTasks", split: str) -> int:
    training = tasks.distribution.shots + tasks.distribution.queries
    stored = max(*tasks.stored.test_shots, tasks.distribution.shots) + tasks.stored.test_queries
    if split != "train":
        return stored
    return max(training, stored) if tasks.source.final else training


def _classes(tasks: "ImageTasks", pictures: "ClassImages", split: str) -> int:
    turned = tasks.source.rotations if split == "train" else tasks.source.rotate_test
    return len(pictures.classes[split]) * (TURNS if turned else 1)


def _total(pictures: "ClassImages") -> int:
    return sum(len(labels) for labels in pictures.classes.values())
