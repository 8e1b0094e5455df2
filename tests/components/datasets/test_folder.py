"""Any folder of class folders, plain or zipped, becomes classes and splits."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.datasets.oddities import oddities
from components.datasets.placement import make_data_set
from components.datasets.sources import load_pictures
from metasgd.errors import InputError
from tests.components.datasets.helpers import flat, image_source, jpeg, png, write_files, write_zip

BIRDS = {f"{name}/{index}.png": png(20 * index + 5) for name in "abcdefgh" for index in range(2)}


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


def test_links_are_followed(tmp_path: Path) -> None:
    """To pictures and to class folders, wherever they are: the data are the same as without links."""
    elsewhere = write_files(tmp_path / "elsewhere", BIRDS)
    folder = tmp_path / "birds"
    folder.mkdir()
    for name in "abcdefg":
        (folder / name).symlink_to(elsewhere / name)
    (folder / "h").mkdir()
    for index in range(2):
        (folder / "h" / f"{index}.png").symlink_to(elsewhere / "h" / f"{index}.png")
    linked, plain = (load_pictures(image_source("folder", path), 1) for path in (folder, elsewhere))
    assert linked.fingerprint == plain.fingerprint
    assert torch.equal(linked.images, plain.images)


def broken_picture(folder: Path) -> None:
    (folder / "a" / "9.png").symlink_to("nowhere.png")


def broken_class(folder: Path) -> None:
    (folder / "z").symlink_to("nowhere")


def circle(folder: Path) -> None:
    (folder / "a" / "more").symlink_to("..")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "a" / "9.png")


def backslash(folder: Path) -> None:
    write_files(folder, {"a\\b/1.png": png(1)})


def colon(folder: Path) -> None:
    write_files(folder, {"a:b/1.png": png(1)})


def no_text(folder: Path) -> None:
    write_files(folder, {os.fsdecode(b"\xff\xfe/1.png"): png(1)})


def line_break(folder: Path) -> None:
    write_files(folder, {"a\nb/1.png": png(1)})


def empty_with_line_break(folder: Path) -> None:
    (folder / "a\nb").mkdir()


def archive_beside(folder: Path) -> None:
    write_zip(folder / "birds.zip", BIRDS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken_picture, r"a/9\.png is a link that leads nowhere; expected a file or a folder"),
        (broken_class, r"birds/z is a link that leads nowhere"),
        (circle, r"a/more is a link to a folder around it"),
        (pipe, r"a/9\.png is a pipe or a device"),
        (backslash, r"holds 'a\\\\b/1\.png'; expected relative names"),
        (colon, r"holds 'a:b/1\.png'; expected relative names"),
        (no_text, r"holds '\\udcff\\udcfe/1\.png'; expected relative names .* in Unicode"),
        (line_break, r"holds 'a\\nb/1\.png'; expected relative names"),
        (empty_with_line_break, r"holds 'a\\nb'; expected relative names"),
        (archive_beside, r"holds birds\.zip and the folder 'a'; expected one or the other"),
    ],
)
def test_what_no_archive_could_hold_is_refused_first(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    """By reading and by `make data`, which writes nothing."""
    folder = write_files(tmp_path / "birds", BIRDS)
    change(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_pictures(image_source("folder", folder), 1)
    assert "\n" not in str(caught.value)
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match=message):
        make_data_set("birds", folder, tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_names_may_be_in_any_script(tmp_path: Path) -> None:
    """Spaces, accents, emoji of several code points, quotes: what is written is read."""
    names = ["a b", "caf\u00e9", "\U0001f469\u200d\U0001f52c", "it's", "\u9ce5"]
    files = {f"{name}/{index}.png": png(9) for name in names for index in range(2)}
    folder = write_files(tmp_path / "birds", files)
    archive = write_zip(tmp_path / "birds.zip", files)
    for path in (folder, archive):
        loaded = load_pictures(image_source("folder", path), 1)
        assert sorted(flat(loaded.classes)) == sorted(names)


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


def test_hidden_folders_with_pictures_are_said(tmp_path: Path) -> None:
    """A leftover of some program is no news; pictures that are left out are, in a folder or an archive."""
    hidden = {".old/a/0.png": png(1), "a/.cache/0.png": png(2), ".git/config": b"", "b/.keep": b""}
    folder = write_files(tmp_path / "birds", BIRDS | hidden)
    archive = write_zip(tmp_path / "birds.zip", BIRDS | hidden)
    for path in (folder, archive):
        pictures = load_pictures(image_source("folder", path), 1)
        assert pictures.left_out == (".old", "a/.cache")
        assert "2 hidden folders are left out ('.old')" in oddities(pictures)
