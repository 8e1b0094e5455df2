"""Any folder of class folders, plain or zipped, becomes classes and splits."""

from pathlib import Path

import pytest
import torch

from components.datasets.sources import load_pictures
from metasgd.errors import InputError
from tests.components.datasets.helpers import flat, image_source, jpeg, png, write_files, write_zip

BIRDS = {f"{name}/{index}.png": png(20 * index + 5) for name in "abcdefgh" for index in range(2)}
SPLIT = {f"{split}/{split}{index}/1.png": png(9) for split in ("train", "val", "test") for index in range(2)}


def test_classes_are_split_by_seed_and_shares(tmp_path: Path) -> None:
    """Every class is in exactly one split, the shares hold, and only the seed decides."""
    source = image_source("folder", write_files(tmp_path / "birds", BIRDS))
    first, again, other = (load_pictures(source, seed).classes for seed in (1, 1, 2))
    assert {split: len(names) for split, names in first.items()} == {"train": 4, "validation": 2, "test": 2}
    assert sorted(flat(first)) == list("abcdefgh")
    assert first == again
    assert first != other


def test_pictures_lie_one_class_after_the_other(tmp_path: Path) -> None:
    """`counts` cuts `images` into the classes in their order; counts may differ."""
    sizes = {"a": 1, "b": 2, "c": 3, "d": 4}
    files = {f"{name}/{index}.png": png(10 * size) for name, size in sizes.items() for index in range(size)}
    loaded = load_pictures(image_source("folder", write_files(tmp_path, files)), 3)
    names = flat(loaded.classes)
    counts = flat(loaded.counts)
    assert loaded.images.shape == (10, 1, 8, 8)
    assert loaded.images.dtype == torch.uint8
    for name, pictures in zip(names, loaded.images.split(counts), strict=True):
        assert len(pictures) == sizes[name]
        assert (pictures == 10 * sizes[name]).all()


def test_an_archive_of_the_folder_is_the_same_data(tmp_path: Path) -> None:
    """Same pictures, same fingerprint, wherever they lie and whatever else lies beside them."""
    extras = {"a/.hidden.png": b"?", "a/Thumbs.db": b"?", ".DS_Store": b"?", "README.txt": b"notes"}
    folder = write_files(tmp_path / "birds", BIRDS | extras)
    archive = write_zip(tmp_path / "other" / "other.zip", dict(reversed(BIRDS.items())))
    loaded = [load_pictures(image_source("folder", path), 1) for path in (folder, archive, archive.parent)]
    assert len({each.fingerprint for each in loaded}) == 1
    assert all(torch.equal(each.images, loaded[0].images) for each in loaded)


def test_the_fingerprint_follows_names_and_contents(tmp_path: Path) -> None:
    """One changed pixel is another data set."""
    loaded = load_pictures(image_source("folder", write_files(tmp_path / "1", BIRDS)), 1)
    changed = load_pictures(
        image_source("folder", write_files(tmp_path / "2", BIRDS | {"a/0.png": png(6)})), 1
    )
    assert loaded.fingerprint != changed.fingerprint


def test_folders_named_as_splits_are_the_splits(tmp_path: Path) -> None:
    """train, val and test are taken as they are, whatever the seed."""
    loaded = load_pictures(image_source("folder", write_files(tmp_path, SPLIT)), 5)
    assert loaded.classes["train"] == ["train/train0", "train/train1"]
    assert loaded.classes["validation"] == ["val/val0", "val/val1"]
    assert loaded.classes["test"] == ["test/test0", "test/test1"]


def test_final_joins_train_and_validation(tmp_path: Path) -> None:
    """The final training uses all classes but those of the test."""
    loaded = load_pictures(image_source("folder", write_files(tmp_path, SPLIT), final=True), 5)
    assert {split: len(names) for split, names in loaded.classes.items()} == {
        "train": 4,
        "validation": 0,
        "test": 2,
    }
    assert loaded.counts["validation"] == []


def test_colour_and_grey(tmp_path: Path) -> None:
    """Three channels keep the colour, one is its luminance; files may be JPEG or PNG, of any size."""
    files = {f"{name}/1.jpg": jpeg(250, 20, 20) for name in "abc"} | {"d/1.png": png(90, width=31, height=7)}
    folder = write_files(tmp_path, files)
    colour = load_pictures(image_source("folder", folder, channels=3), 1)
    grey = load_pictures(image_source("folder", folder), 1)
    position = flat(colour.classes).index("a")
    assert colour.images.shape == (4, 3, 8, 8)
    red, green, blue = colour.images[position].float().mean((1, 2))
    assert red > 240
    assert max(green, blue) < 35
    assert 70 < grey.images[position].float().mean() < 100


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a/broken.png": png(1)[:40]},
            r"a/broken\.png \(40 bytes\) cannot be decoded; expected PNG or JPEG",
        ),
        ({"a/empty.jpg": b""}, r"a/empty\.jpg \(0 bytes\) cannot be decoded"),
        ({"a/notes.txt": b"?"}, r"a/notes\.txt is no picture; expected \.png"),
        ({"loose.png": png(1)}, r"loose\.png lies outside the class folders"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    """What is no picture of a class is refused with its name, in one line."""
    folder = write_files(tmp_path / "birds", BIRDS | files)
    with pytest.raises(InputError, match=message) as caught:
        load_pictures(image_source("folder", folder), 1)
    assert "\n" not in str(caught.value)


def test_a_class_without_pictures_is_named(tmp_path: Path) -> None:
    """An empty class folder is a mistake, not a smaller data set."""
    folder = write_files(tmp_path / "birds", BIRDS)
    (folder / "owl").mkdir()
    with pytest.raises(InputError, match=r"birds/owl is empty; expected pictures of one class"):
        load_pictures(image_source("folder", folder), 1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"more/a/1.png": png(1)}, "'more' beside train and test; expected train, val, test"),
        ({"train/1.png": png(1)}, "train holds pictures; expected train/<class>/<picture>"),
        ({"test/train0/1.png": png(1)}, "class 'train0' in 2 splits; expected it in one"),
    ],
)
def test_muddled_splits_are_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    """A class must be in one split, and every picture in a class."""
    folder = write_files(tmp_path / "birds", SPLIT | files)
    with pytest.raises(InputError, match=message):
        load_pictures(image_source("folder", folder), 1)


@pytest.mark.parametrize(
    ("files", "split", "message"),
    [
        ({}, (0.5, 0.25, 0.25), "holds no class folders"),
        ({"a/1.png": png(1)}, (0.5, 0.25, 0.25), r"gives .* of 1 classes; expected at least one class"),
        (BIRDS, (0.5, 0.5, 0.5), r"source\.split is \[0\.5, 0\.5, 0\.5\]; expected"),
    ],
)
def test_impossible_splits_are_refused(
    tmp_path: Path, files: dict[str, bytes], split: tuple[float, float, float], message: str
) -> None:
    """Too few classes, or shares that do not add up."""
    with pytest.raises(InputError, match=message):
        load_pictures(image_source("folder", write_files(tmp_path, files), split=split), 1)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The message says what is expected there."""
    with pytest.raises(InputError, match=r"nowhere is missing; expected a folder of class folders"):
        load_pictures(image_source("folder", tmp_path / "nowhere"), 1)
