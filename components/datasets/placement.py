"""Data sets put in place under data/ and datasets/: read, checked, written canonically, then moved there."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from torchvision.datasets import Omniglot
from torchvision.datasets.utils import download_url

from components.config.names import require_name
from components.datasets import versioning
from components.datasets.archives import archive_files, write_archive
from components.datasets.decoding import decode
from components.datasets.folder import class_pictures, folder_files, hidden_folders
from components.datasets.layout import own_split
from components.datasets.miniimagenet import verify_miniimagenet
from components.datasets.omniglot import ARCHIVES, drawing_names, omniglot_pictures
from metasgd.errors import InputError
from metasgd.files import put_in_place
from metasgd.own_folder import require_only

PIN = "data.dvc"


def make_data_set(name: str, source: Path | None, root: Path) -> str:
    """Put a data set in place under `root`; returns the line that says what is there now.

    name: omniglot, miniimagenet, or a name for a folder of class folders.
    source: a folder or archive with the pictures; only omniglot can be had without.

    Raises:
        InputError: nothing to read, other counts or pictures than expected, or data that differ from
            those pinned. What was in place before is then still there.
    """
    require_name(name, "data set")
    if name == "glyphs":
        raise InputError(
            "data set 'glyphs' is generated and needs no files; expected omniglot or one of your own"
        )
    source = source.expanduser() if source else None
    _require_replaceable(name, source, root)
    if name == "omniglot":
        return _make_omniglot(source, root)
    if source is None:
        raise InputError(
            f"data set {name!r} has no download; expected --source (DATA_SOURCE=…), your own copy"
        )
    return _make_folder(name, source, root)


def _make_omniglot(source: Path | None, root: Path) -> str:
    if source is None and (root / PIN).is_file() and versioning.has_remote(root):
        versioning.pull(root, PIN)
        omniglot_pictures(root / "data" / "omniglot")
        return f"data/omniglot is byte-identical to what {PIN} pins (pulled from the DVC remote)"
    with tempfile.TemporaryDirectory(prefix=".data-", dir=root) as temporary:
        original = _omniglot_folder(source) if source else _download(Path(temporary) / "download")
        staged = Path(temporary) / "omniglot"
        omniglot_pictures(original)
        for archive in ARCHIVES:
            path = original / f"{archive}.zip"
            write_archive(staged / path.name, _decodable(archive_files(path, drawing_names(path)), path))
        put_in_place(
            staged,
            root / "data" / "omniglot",
            lambda: _require_pinned(root),
            root / ".data-omniglot.previous",
        )
    return f"data/omniglot is byte-identical to what {PIN} pins"


def _make_folder(name: str, source: Path, root: Path) -> str:
    if name == "miniimagenet":
        source = source / name if (source / name).is_dir() else source  # a mirror of several data sets
        verify_miniimagenet(source)
    pictures = class_pictures(source)
    own_split(pictures, str(source))
    if len(pictures) == 1:
        raise InputError(
            f"{source} holds one class, {next(iter(pictures))!r}; expected 2 class folders or more"
        )
    names = sorted(picture for files in pictures.values() for picture in files)
    folder = f"datasets/{name}"
    with tempfile.TemporaryDirectory(prefix=".data-", dir=root) as temporary:
        staged = Path(temporary) / name
        write_archive(staged / f"{name}.zip", _decodable(folder_files(source, names), source))
        put_in_place(staged, root / folder, lambda: versioning.add(root, folder))
    hidden = ", ".join(hidden_folders(source))
    return (
        f"{folder}/{name}.zip holds {len(names)} pictures of {len(pictures)} classes, pinned by {folder}.dvc"
        + (f"; hidden folders are left out: {hidden}" if hidden else "")
    )


def _require_replaceable(name: str, source: Path | None, root: Path) -> None:
    """The place may hold the archives of an earlier data set, and nothing else; the source lies elsewhere."""
    place, archives = ("data/omniglot", ARCHIVES) if name == "omniglot" else (f"datasets/{name}", [name])
    target = root / place
    where = _omniglot_folder(source) if source and name == "omniglot" else source
    if where is not None and target.resolve() in (where.resolve(), *where.resolve().parents):
        raise InputError(f"{source}: is the place of data set {name!r}; expected your own copy, elsewhere")
    require_only(target, {f"{archive}.zip" for archive in archives}, "`make data`")


def _omniglot_folder(source: Path) -> Path:
    return source / "omniglot" if (source / "omniglot").is_dir() else source


def _download(folder: Path) -> Path:
    for archive, md5 in Omniglot.zips_md5.items():
        url = f"{Omniglot.download_url_prefix}/{archive}.zip"
        try:
            download_url(url, folder, md5=md5)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{url} cannot be downloaded ({error}); expected a network, or --source (DATA_SOURCE=…)"
            ) from error
    return folder


def _decodable(files: Iterable[tuple[str, bytes]], origin: Path) -> Iterator[tuple[str, bytes]]:
    """The same files, each decoded once: a broken picture is found before anything is in place."""
    for name, contents in files:
        decode(contents, f"{origin}/{name}", channels=3, size=1)
        yield name, contents


def _require_pinned(root: Path) -> None:
    """Take data/ into DVC's cache, and compare it with the pin: `dvc status` compares only what is cached."""
    before = (root / PIN).read_text() if (root / PIN).is_file() else None
    expected = versioning.pinned_hash(root, PIN)
    versioning.add(root, "data")
    if before is not None and versioning.pinned_hash(root, PIN) != expected:
        (root / PIN).write_text(before)
        raise InputError(f"data/ would differ from what {PIN} pins; expected the same bytes, left as it was")
