"""Where pictures come from: one function per name of `source.name` in params.yaml."""

from collections.abc import Callable

from components.config.sources import ImageSource
from components.datasets.class_images import ClassImages
from components.datasets.folder import load_folder
from components.datasets.glyphs import load_glyphs
from components.datasets.miniimagenet import load_miniimagenet
from components.datasets.omniglot import load_official_omniglot, load_omniglot

SOURCES: dict[str, Callable[[ImageSource, int], ClassImages]] = {
    "glyphs": load_glyphs,
    "omniglot": load_omniglot,
    "omniglot-official": load_official_omniglot,
    "miniimagenet": load_miniimagenet,
    "folder": load_folder,
}


def load_pictures(source: ImageSource, seed: int) -> ClassImages:
    """The pictures of a source, by class and split.

    Raises:
        InputError: files that are missing, damaged, or hold other counts than the source should.
    """
    return SOURCES[source.name](source, seed)
