"""MiniImagenet with the split of Ravi and Larochelle (2017): 64 / 16 / 20 classes of 600 pictures.

There is no public download: `make data DATASET=miniimagenet DATA_SOURCE=…` takes a user's own copy,
{train,val,test}/<class>/<picture>.jpg, as a folder or a zip archive.
"""

from pathlib import Path

from components.config.sources import ImageSource
from components.datasets.class_images import ClassImages
from components.datasets.folder import class_pictures, load_folder
from components.datasets.layout import own_split
from metasgd.errors import InputError

CLASSES = {"train": 64, "validation": 16, "test": 20}
PICTURES = 600


def load_miniimagenet(source: ImageSource, seed: int) -> ClassImages:
    """All 60,000 pictures of <path>/miniimagenet.zip; the seed is unused, as the split is given.

    Raises:
        InputError: a missing or damaged archive, or other counts.
    """
    verify_miniimagenet(Path(source.path).expanduser())
    return load_folder(source, seed)


def verify_miniimagenet(path: Path) -> None:
    """Check classes and pictures by their names, before any is decoded.

    Raises:
        InputError: a count that differs.
    """
    pictures = class_pictures(path)
    classes = own_split(pictures, str(path))
    if classes is None:
        raise InputError(f"{path} lacks the folders train and test; expected train, val and test")
    for split, expected in CLASSES.items():
        if len(classes[split]) != expected:
            raise InputError(f"{path} has {len(classes[split])} {split} classes; expected {expected}")
    for name, files in pictures.items():
        if len(files) != PICTURES:
            raise InputError(f"{path} has {len(files)} pictures in {name}; expected {PICTURES}")
