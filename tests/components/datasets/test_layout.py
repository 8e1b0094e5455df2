"""How a folder's files lie says which classes there are, and which are trained on."""

import re
from pathlib import Path

import pytest

from components.datasets.sources import load_pictures
from metasgd.errors import InputError
from tests.components.datasets.helpers import image_source, png, write_files

BIRDS = {f"{name}/{index}.png": png(20 * index + 5) for name in "abcdefgh" for index in range(2)}
SPLIT = {f"{split}/{split}{index}/1.png": png(9) for split in ("train", "val", "test") for index in range(2)}


def test_folders_named_as_splits_are_the_splits(tmp_path: Path) -> None:
    """train, val and test are taken as they are, whatever the seed."""
    loaded = load_pictures(image_source("folder", write_files(tmp_path, SPLIT)), 5)
    assert loaded.classes["train"] == ["train/train0", "train/train1"]
    assert loaded.classes["validation"] == ["val/val0", "val/val1"]
    assert loaded.classes["test"] == ["test/test0", "test/test1"]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Train", "VAL", "Test"), ("training", "valid", "testing"), ("TRAIN", "Validation", "test")],
)
def test_folders_of_splits_have_other_names_too(tmp_path: Path, train: str, val: str, test: str) -> None:
    """In any case; test classes are never trained on because of a capital letter."""
    names = {"train": train, "val": val, "test": test}
    files = {
        f"{names[name.partition('/')[0]]}/{name.partition('/')[2]}": data for name, data in SPLIT.items()
    }
    loaded = load_pictures(image_source("folder", write_files(tmp_path, files)), 5)
    assert loaded.classes == {
        "train": [f"{train}/train0", f"{train}/train1"],
        "validation": [f"{val}/val0", f"{val}/val1"],
        "test": [f"{test}/test0", f"{test}/test1"],
    }


def test_without_val_some_training_classes_are_validation_classes(tmp_path: Path) -> None:
    """By the seed and by the shares of train and validation; test classes stay those of the folder."""
    classes = {"train": "abcdefghij", "test": "xyz"}
    files = {f"{split}/{name}/1.png": png(9) for split, names in classes.items() for name in names}
    source = image_source("folder", write_files(tmp_path, files), split=(0.6, 0.2, 0.2))
    loaded = [load_pictures(source, seed).classes for seed in (1, 1, 2)]
    assert loaded[0] == loaded[1] != loaded[2]
    for found in loaded:
        assert [len(found[split]) for split in ("train", "validation", "test")] == [8, 2, 3]
        assert sorted(found["train"] + found["validation"]) == [f"train/{name}" for name in "abcdefghij"]
        assert found["test"] == ["test/x", "test/y", "test/z"]
    final = load_pictures(image_source("folder", tmp_path, split=(0.6, 0.2, 0.2), final=True), 1)
    assert len(final.classes["train"]) == 10
    for shares in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)):  # no share of validation asks for none
        found = load_pictures(image_source("folder", tmp_path, split=shares), 1).classes
        assert (len(found["train"]), found["validation"]) == (10, [])


DEEP = "expected <class>/<picture>, or train/<class>/<picture> with the like of it in val and test"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/@eaDir/0.png": png(1)}, f"a/@eaDir/0.png lies in a folder within a folder; {DEEP}"),
        ({"more/a/0.png": png(1)}, f"more/a/0.png lies in a folder within a folder; {DEEP}"),
        (
            {f"train/{name}/0.png": png(1) for name in "xyz"},
            f"3 files lie in folders within folders: train/x/0.png, train/y/0.png, train/z/0.png; {DEEP}",
        ),
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    """What was expected is said; pooled, they would put one class into train and test."""
    folder = write_files(tmp_path / "birds", BIRDS | files)
    with pytest.raises(InputError, match=re.escape(message)):
        load_pictures(image_source("folder", folder), 1)


def test_all_refused_files_are_said_at_once(tmp_path: Path) -> None:
    """The first five by name, and how many there are."""
    names = [f"a/{index}{suffix}" for index in range(4) for suffix in (".webp", ".tif")]
    folder = write_files(tmp_path / "birds", BIRDS | dict.fromkeys(names, b"?"))
    shown = ", ".join(sorted(names)[:5])
    message = f"birds: 8 files are no pictures: {shown}, ...; expected .png, .jpg, .jpeg in a class folder"
    with pytest.raises(InputError, match=re.escape(message)):
        load_pictures(image_source("folder", folder), 1)
    folder = write_files(tmp_path / "loose", BIRDS | {"1.png": png(1), "2.png": png(1)})
    with pytest.raises(InputError, match=r"2 files lie outside the class folders: 1\.png, 2\.png; expected"):
        load_pictures(image_source("folder", folder), 1)


def test_final_joins_train_and_validation(tmp_path: Path) -> None:
    """The final training uses all classes but those of the test."""
    loaded = load_pictures(image_source("folder", write_files(tmp_path, SPLIT), final=True), 5)
    assert {split: len(names) for split, names in loaded.classes.items()} == {
        "train": 4,
        "validation": 0,
        "test": 2,
    }
    assert loaded.counts["validation"] == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"more/a/1.png": png(1)}, "'more' beside train and test; expected train, val, test"),
        ({"train/1.png": png(1)}, "train holds pictures; expected train/<class>/<picture>"),
        (
            {"test/train0/1.png": png(1)},
            "one class in 2 splits, 'train/train0' and 'test/train0'; expected it",
        ),
        ({"test/TRAIN0/1.png": png(1)}, "'train/train0' and 'test/TRAIN0'; expected it in one"),
        ({"test/caf\u00e9/1.png": png(1), "val/cafe\u0301/1.png": png(1)}, "in 2 splits, 'val/cafe"),
        (
            {"test/test0/more/1.png": png(1)},
            "test/test0/more holds pictures; expected test/<class>/<picture>",
        ),
        ({"validation/a/1.png": png(1)}, "holds 'val' and 'validation'; expected one folder of a split"),
        ({"Test/a/1.png": png(1)}, "holds 'Test' and 'test'; expected one folder of a split"),
    ],
)
def test_muddled_splits_are_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    """A class must be in one split, and every picture in a class."""
    folder = write_files(tmp_path / "birds", SPLIT | files)
    with pytest.raises(InputError, match=message):
        load_pictures(image_source("folder", folder), 1)
