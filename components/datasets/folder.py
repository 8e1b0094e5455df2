"""Any folder of class folders of pictures: a plain directory, or one zip archive of it.

Folders train, val (or validation) and test at the top, each with class folders, are the splits;
otherwise the classes are split by the source's shares and the seed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from components.config.sources import ImageSource
from components.datasets.archives import archive_files, archive_names, is_visible
from components.datasets.class_images import SPLITS, ClassImages, join_for_final, split_classes
from components.datasets.decoding import SUFFIXES, decode_pictures, is_picture
from metasgd.errors import InputError

SPLIT_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
Groups = dict[str, list[str]]


def load_folder(source: ImageSource, seed: int) -> ClassImages:
    """All pictures under `source.path`, a directory or an archive, grey or colour as the source says.

    Raises:
        InputError: no pictures, a class without any, or a picture that cannot be decoded.
    """
    path = Path(source.path).expanduser()
    pictures = class_pictures(path)
    classes = own_split(list(pictures), path) or split_classes(list(pictures), source.split, seed)
    classes = join_for_final(classes) if source.final else classes
    files = folder_files(path, sorted(name for names in pictures.values() for name in names))
    return decode_pictures(files, classes, pictures, str(path), source.channels, source.size)


def class_pictures(path: Path) -> Groups:
    """Class folder -> its pictures, both named from the top.

    Raises:
        InputError: nothing there, a picture outside the class folders, or anything else inside them.
    """
    classes: Groups = defaultdict(list)
    for name in folder_names(path):
        folder = str(PurePosixPath(name).parent)
        inside = folder != "."  # notes and lists may lie at the top, beside the class folders
        if inside and not is_picture(name):
            raise InputError(f"{path}/{name} is no picture; expected {', '.join(SUFFIXES)} in a class folder")
        if is_picture(name) and not inside:
            raise InputError(f"{path}/{name} lies outside the class folders; expected <class>/<picture>")
        if inside:
            classes[folder].append(name)
    if not classes:
        raise InputError(f"{path} holds no class folders; expected <class>/<picture>")
    return dict(classes)


def own_split(folders: list[str], path: Path) -> Groups | None:
    """Split -> class folders, where the folders at the top are train, val and test; else None.

    Raises:
        InputError: another folder beside them, pictures without a class, or a class in two splits.
    """
    tops = {PurePosixPath(folder).parts[0] for folder in folders}
    if not {"train", "test"} <= tops:
        return None
    if others := sorted(tops - set(SPLIT_FOLDERS)):
        raise InputError(f"{path} holds {others[0]!r} beside train and test; expected train, val, test")
    if bare := sorted(tops & set(folders)):
        raise InputError(f"{path}/{bare[0]} holds pictures; expected {bare[0]}/<class>/<picture>")
    repeated = Counter(folder.partition("/")[2] for folder in folders).most_common(1)[0]
    if repeated[1] > 1:
        raise InputError(f"{path} has class {repeated[0]!r} in {repeated[1]} splits; expected it in one")
    classes: Groups = {split: [] for split in SPLITS}
    for folder in folders:
        classes[SPLIT_FOLDERS[folder.partition("/")[0]]].append(folder)
    return classes


def folder_names(path: Path) -> list[str]:
    """The visible files of a directory or an archive, relative to it, sorted.

    Raises:
        InputError: neither of them, or an empty folder.
    """
    archive = _archive(path)
    if archive is not None:
        return archive_names(archive)
    if not path.is_dir():
        raise InputError(f"{path} is missing; expected a folder of class folders, or a zip archive of it")
    found = [entry.relative_to(path).as_posix() for entry in path.rglob("*")]
    names = sorted(name for name in found if is_visible(name))
    parents = {str(PurePosixPath(name).parent) for name in names}
    for name in names:
        if (path / name).is_dir() and name not in parents:
            raise InputError(f"{path / name} is empty; expected pictures of one class")
    return [name for name in names if (path / name).is_file()]


def folder_files(path: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of the named files of a directory or an archive, one at a time."""
    archive = _archive(path)
    if archive is not None:
        return archive_files(archive, names)
    return ((name, (path / name).read_bytes()) for name in names)


def _archive(path: Path) -> Path | None:
    """The archive itself, or the one that `make data` writes: datasets/birds/birds.zip."""
    if path.is_file():
        return path
    inside = path / f"{path.name}.zip"
    return inside if inside.is_file() else None
