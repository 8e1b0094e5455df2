"""Omniglot: all 1,623 characters with the published split, bright on dark."""

from pathlib import Path

import pytest

from components.datasets.class_images import ClassImages
from components.datasets.omniglot import ARCHIVES, vinyals_split
from components.datasets.sources import load_pictures
from metasgd.errors import InputError
from tests.components.datasets.helpers import MIRROR, flat, image_source, png, write_zip

needs_data = pytest.mark.skipif(not (MIRROR / "omniglot").is_dir(), reason="needs a mirror of Omniglot")


@pytest.fixture(scope="module")
def omniglot() -> ClassImages:
    """The whole data set at the size of the published experiments."""
    return load_pictures(image_source("omniglot", MIRROR, size=28), 1)


@needs_data
def test_every_character_has_twenty_drawings(omniglot: ClassImages) -> None:
    """1028 / 172 / 423 characters, 32,460 drawings."""
    assert {split: len(names) for split, names in omniglot.classes.items()} == {
        "train": 1028,
        "validation": 172,
        "test": 423,
    }
    assert omniglot.images.shape == (32460, 1, 28, 28)
    assert set(flat(omniglot.counts)) == {20}


@needs_data
def test_strokes_are_bright_on_dark(omniglot: ClassImages) -> None:
    """Background 0; the strokes are a small part of a picture."""
    assert omniglot.images.float().median() == 0
    assert 0.03 < omniglot.images.float().mean() / 255 < 0.15
    assert omniglot.images.amax((1, 2, 3)).min() > 60


@needs_data
def test_final_trains_on_all_but_the_test_characters() -> None:
    """1,200 characters for training, none for validation."""
    loaded = load_pictures(image_source("omniglot", MIRROR, final=True), 1)
    assert [len(loaded.classes[split]) for split in ("train", "validation", "test")] == [1200, 0, 423]


@needs_data
def test_the_authors_split_keeps_alphabets_apart() -> None:
    """Twenty evaluation alphabets for test; of thirty background ones, five drawn by the seed validate."""
    source = image_source("omniglot-official", MIRROR, size=28)
    loaded, other = (load_pictures(source, seed).classes for seed in (1, 2))
    alphabets = {split: {name.split("/")[0] for name in names} for split, names in loaded.items()}
    assert [len(alphabets[split]) for split in ("train", "validation", "test")] == [25, 5, 20]
    assert not alphabets["train"] & alphabets["validation"]
    assert (len(loaded["train"]) + len(loaded["validation"]), len(loaded["test"])) == (964, 659)
    assert loaded["validation"] != other["validation"]
    assert loaded["test"] == other["test"]
    final = load_pictures(image_source("omniglot-official", MIRROR, final=True), 1).classes
    assert [len(final[split]) for split in ("train", "validation", "test")] == [964, 0, 659]


def test_the_split_is_the_published_one() -> None:
    """The mirror's lists, without their rotations."""
    split = vinyals_split()
    assert [len(split[name]) for name in ("train", "validation", "test")] == [1028, 172, 423]
    assert len(set(flat(split))) == 1623
    if (MIRROR / "omniglot").is_dir():
        lines = (MIRROR / "omniglot" / "splits" / "val.txt").read_text().split()
        assert set(split["validation"]) == {line.rsplit("/", 1)[0] for line in lines}


def test_wrong_counts_are_named(tmp_path: Path) -> None:
    """A smaller archive is refused before anything is decoded."""
    for archive in ARCHIVES:
        write_zip(tmp_path / "omniglot" / f"{archive}.zip", {f"{archive}/Greek/character01/1.png": png(0)})
    with pytest.raises(InputError, match=r"images_background\.zip has 1 characters; expected 964"):
        load_pictures(image_source("omniglot", tmp_path), 1)


def test_other_files_are_named(tmp_path: Path) -> None:
    """Another layout is refused with the file that does not fit."""
    write_zip(tmp_path / "omniglot" / "images_background.zip", {"Greek/character01/1.png": png(0)})
    with pytest.raises(InputError, match=r"holds Greek/character01/1\.png; expected images_background/"):
        load_pictures(image_source("omniglot", tmp_path), 1)


def test_missing_archives_are_named(tmp_path: Path) -> None:
    """The message names the archive."""
    with pytest.raises(InputError, match=r"images_background\.zip is missing; expected a zip archive"):
        load_pictures(image_source("omniglot", tmp_path), 1)
