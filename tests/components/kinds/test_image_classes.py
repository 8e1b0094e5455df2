"""Whether classes suffice is decided before any task is drawn, whatever the seed; what is odd is said."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.artifacts.episodes import read_episodes
from components.preprocess.step import preprocess
from metasgd.errors import InputError
from tests.components.kinds.loading import load


def birds(folder: Path, sizes: dict[str, int]) -> Path:
    """Class folders with so many different pictures each."""
    noise = np.random.default_rng(1)
    for label, size in sizes.items():
        (folder / label).mkdir(parents=True)
        for index in range(size):
            pixels = noise.integers(256, size=(8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
    return folder


def drawn(folder: Path, *overrides: str, strict: bool = False) -> list[str]:
    """The notes of the episodes of a data set: two ways, one shot, two queries."""
    chosen = (
        f"tasks.source.path={folder}", "tasks.source.size=8", "tasks.distribution.ways=2",
        "tasks.stored.validation=4", "tasks.stored.gate=4", "tasks.stored.test=4",
        "tasks.stored.test_queries=2",
    )  # fmt: skip
    tasks = load(*chosen, *overrides, name="pictures-5way-1shot").tasks
    preprocess(tasks, folder.parent / "episodes", strict=strict)
    return read_episodes(folder.parent / "episodes").manifest.notes


def refused(folder: Path, *overrides: str, strict: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        drawn(folder, *overrides, strict=strict)
    assert not (folder.parent / "episodes").exists()
    return str(caught.value).removeprefix(f"{folder}: ")


SPLIT = {f"{split}/{label}": 4 for split in ("train", "val", "test") for label in "abcd"}
PLAIN = {key.replace("/", "/" + key[:2]): size for key, size in SPLIT.items()}  # no class in two splits


def test_enough_pictures_of_enough_classes_are_not_odd(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said, and strictness changes nothing."""
    notes = drawn(birds(tmp_path / "birds", PLAIN), strict=True)
    assert not [note for note in notes if "odd" in note]
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sizes", "overrides", "words"),
    [
        (
            {"test/tea": 2},
            (),
            "1 class lacks pictures: test class 'test/tea' has 2 of 3; expected shots + queries of each",
        ),
        ({"train/tra": 1}, (), "1 class lacks pictures: train class 'train/tra' has 1 of 2;"),
        (
            {"test/tea": 2, "val/vaa": 1, "test/teb": 2, "test/tec": 2},
            (),
            "4 classes lack pictures: validation class 'val/vaa' has 1 of 3, "
            "test class 'test/tea' has 2 of 3, test class 'test/teb' has 2 of 3, ...; "
            "expected shots + queries of each",
        ),
        ({}, ("tasks.distribution.ways=5",), "train has 4 classes; expected distribution.ways, 5, at least,"),
        ({}, ("tasks.stored.test_shots=[1,5]",), "8 classes lack pictures: "),
        (
            {},
            ("tasks.distribution.queries=4",),
            "4 classes lack pictures: train class 'train/tra' has 4 of 5, ",
        ),
    ],
)  # fmt: skip
def test_every_class_of_every_split_is_checked_before_drawing(
    tmp_path: Path, sizes: dict[str, int], overrides: tuple[str, ...], words: str
) -> None:
    """The line names the smallest classes, what they have and what they need."""
    assert refused(birds(tmp_path / "birds", PLAIN | sizes), *overrides).startswith(words)


def test_the_answer_does_not_depend_on_the_seed(tmp_path: Path) -> None:
    """A class that few tasks would meet is found by every seed."""
    folder = birds(tmp_path / "birds", {f"c{index}": 4 for index in range(30)} | {"small": 1})
    for seed in range(5):
        assert "class 'small' has 1 of " in refused(folder, f"tasks.seed={seed}", "tasks.stored.test=2")


def test_turned_classes_count(tmp_path: Path) -> None:
    """Four test classes make sixteen where they are turned, enough for five ways."""
    folder = birds(tmp_path / "birds", PLAIN)
    drawn(folder, "tasks.distribution.ways=5", "tasks.source.rotations=true", "tasks.source.rotate_test=true")


def test_few_sets_of_test_classes_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Many tasks of the same classes are no more than one: in the terminal and beside the scores."""
    few = [label for label in PLAIN if label not in ("test/tec", "test/ted")]
    folder = birds(tmp_path / "birds", dict.fromkeys(few, 4))
    words = (
        "2 test classes for 2 ways make one set of classes, so the interval over 4 test tasks says little of "
        "other classes"
    )
    assert drawn(folder)[-1] == f"odd about the data: {words}"
    assert f"{folder}: warning: {words}\n" in capsys.readouterr().out


def test_strict_makes_an_error_of_what_is_odd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it, a warning and a note beside the scores; with it, one line, and nothing is written."""
    folder = birds(tmp_path / "birds", PLAIN)
    (folder / "test" / "tea" / "0.png").write_bytes((folder / "train" / "tra" / "0.png").read_bytes())
    words = "1 picture is in test classes and in others, too (in 'train/tra' and 'test/tea')"
    assert refused(folder, strict=True) == f"{words}; expected nothing odd, by CHECK=strict"
    assert drawn(folder)[-1] == f"odd about the data: {words}"
    assert f"{folder}: warning: {words}\n" in capsys.readouterr().out
