"""MiniImagenet: 64 / 16 / 20 classes of 600 pictures, verified before anything is decoded."""

from pathlib import Path

import pytest

from components.datasets.miniimagenet import verify_miniimagenet
from components.datasets.sources import load_pictures
from metasgd.errors import InputError
from tests.components.datasets.helpers import MIRROR, image_source, write_zip

CLASSES = {"train": 64, "val": 16, "test": 20}


def _archive(folder: Path, classes: dict[str, int] = CLASSES, pictures: int = 600) -> Path:
    """An archive of the right layout whose pictures are empty files: only names are looked at."""
    names = [
        f"{split}/{split}{label}/{picture}.jpg"
        for split, count in classes.items()
        for label in range(count)
        for picture in range(pictures)
    ]
    return write_zip(folder / "miniimagenet.zip", dict.fromkeys(names, b"")).parent


@pytest.mark.skipif(not (MIRROR / "miniimagenet").is_dir(), reason="needs a mirror of MiniImagenet")
def test_the_real_archive_is_complete() -> None:
    """The mirror has the published counts."""
    verify_miniimagenet(MIRROR / "miniimagenet")


@pytest.mark.parametrize(
    ("classes", "pictures", "message"),
    [
        ({"train": 64, "val": 16, "test": 19}, 1, "has 19 test classes; expected 20"),
        ({"train": 63, "val": 16, "test": 20}, 1, "has 63 train classes; expected 64"),
        (CLASSES, 5, r"has 5 pictures in test/test0; expected 600"),
        ({"train": 64}, 1, "lie in folders within folders"),
    ],
)
def test_other_counts_are_refused(
    tmp_path: Path, classes: dict[str, int], pictures: int, message: str
) -> None:
    """Some of the data is not the data set."""
    folder = _archive(tmp_path / "miniimagenet", classes, pictures)
    with pytest.raises(InputError, match=message):
        load_pictures(image_source("miniimagenet", folder), 1)


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    """The message says where it is expected."""
    with pytest.raises(InputError, match=r"miniimagenet is missing; expected"):
        load_pictures(image_source("miniimagenet", tmp_path / "miniimagenet"), 1)
