"""Bad inputs, each with what the one line says that refuses it."""

# ruff: noqa: E501  # tables: a row is a line

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

Files = dict[str, bytes]


def picture(seed: int = 0, kind: str = "PNG", side: int = 8, mode: str = "L") -> bytes:
    pixels = np.random.default_rng(seed).integers(256, size=(side, side), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def animation() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def zipped(files: dict[str, bytes], twice: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(twice, b"again")
    return buffer.getvalue()


GOOD: Files = {
    f"{label}/{number}.png": picture(10 * ord(label) + number) for label in "abcdefgh" for number in range(4)
}
SPLIT: Files = {
    f"{split}/{split[:2]}{label}/{number}.png": picture(100 * ord(split[1]) + 10 * ord(label) + number)
    for split in ("train", "val", "test")
    for label in "abc"
    for number in range(4)
}


# What is wrong -> the files of the data set, and what the line says.
DATA: dict[str, tuple[Files, str]] = {
    "a picture cut short": ({"a/0.png": picture()[:60]}, "cannot be decoded; expected PNG or JPEG"),
    "a picture with a flipped byte": (
        {"a/0.png": picture()[:45] + b"\xff\x00\xff" + picture()[48:]},
        "cannot be decoded; expected PNG or JPEG",
    ),
    "an empty picture": ({"a/0.png": b""}, "(0 bytes) cannot be decoded"),
    "an animated GIF called .png": ({"a/0.png": animation()}, "cannot be decoded; expected PNG or JPEG"),
    "a GIF": ({"a/0.gif": animation()}, "is no picture; expected .png, .jpg, .jpeg in a class folder"),
    "a WebP called .jpg": ({"a/0.jpg": picture(kind="WEBP")}, "cannot be decoded; expected PNG or JPEG"),
    "a TIFF called .png": ({"a/0.png": picture(kind="TIFF")}, "cannot be decoded; expected PNG or JPEG"),
    "a BMP": (
        {"a/0.bmp": picture(kind="BMP")},
        "is no picture; expected .png, .jpg, .jpeg in a class folder",
    ),
    "text called .png": ({"a/0.png": b"hello"}, "(5 bytes) cannot be decoded"),
    "an HTML page called .jpg": ({"a/0.jpg": b"<html>not found</html>"}, "cannot be decoded"),
    "a list in a class folder": ({"a/labels.csv": b"1"}, "is no picture"),
    "seven notes in class folders": (
        {f"a/{number}.txt": b"1" for number in range(7)},
        "7 files are no pictures: a/0.txt, a/1.txt, a/2.txt, a/3.txt, a/4.txt, ...;",
    ),
    "a picture beside the class folders": ({"0.png": picture()}, "lies outside the class folders"),
    "a folder within a class folder": ({"a/@eaDir/0.png": picture()}, "lies in a folder within a folder"),
    "a backslash in a name": ({"a\\b/0.png": picture()}, "expected relative names"),
    "a colon in a class": ({"a:b/0.png": picture()}, "expected relative names"),
    "a line break in a name": ({"a/0\n.png": picture()}, "expected relative names"),
    "only notes": ({}, "no class folders"),
}
# The same for a data set of which nothing else is there.
ALONE: dict[str, tuple[Files, str]] = {
    "a single class": ({f"a/{number}.png": picture(number) for number in range(4)}, "holds one class, 'a'"),
    "train without test": (
        {name: content for name, content in SPLIT.items() if name.startswith("train")}, "lie in folders within folders"),
    "a folder beside train and test": ({**SPLIT, "more/a/0.png": picture()}, "holds 'more' beside train and test"),
    "val and validation": ({**SPLIT, "validation/x/0.png": picture()}, "expected one folder of a split"),
    "Test and test": ({**SPLIT, "Test/x/0.png": picture()}, "expected one folder of a split"),
    "a class in train and test": ({**SPLIT, "test/tra/0.png": picture()}, "has one class in 2 splits"),
    "the same class, in capitals": ({**SPLIT, "test/TRA/0.png": picture()}, "has one class in 2 splits"),
    "a picture in a split's own folder": ({**SPLIT, "train/0.png": picture()}, "holds pictures; expected train/<class>/<picture>"),
    "a class below a class": ({**SPLIT, "train/tra/more/0.png": picture()}, "holds pictures; expected train/<class>/<picture>"),
}  # fmt: skip
ARCHIVES: dict[str, tuple[bytes, str]] = {
    "an archive cut short": (zipped(GOOD)[:-100], "expected a whole, plain zip archive"),
    "text called .zip": (b"hello", "expected a whole, plain zip archive"),
    "an archive whose names climb out": (zipped({"../a/0.png": picture()}), "expected relative names"),
    "an archive with absolute names": (zipped({"/a/0.png": picture()}), "expected relative names"),
    "an archive with one name twice": (zipped(GOOD, twice="a/0.png"), "twice; expected every name once"),
    "an empty archive": (zipped({}), "no class folders"),
}
# Options of `python -m components.preprocess`, after those that would be right.
PARAMETERS: dict[str, tuple[list[str], str]] = {
    "an unknown experiment": (["--experiment", "nosuch"], "experiment 'nosuch' is unknown; expected one of"),
    "an unknown key": (["--set", "train.rates=1"], "key 'rates' is unknown; expected one of"),
    "a word for a number": (
        ["--set", "train.iterations=many"],
        "train.iterations: Input should be a valid integer",
    ),
    "half a number": (["--set", "train.iterations=1.5"], "train.iterations: Input should be a valid integer"),
    "a negative number": (["--set", "train.iterations=-1"], "iterations is -1; expected at least 1"),
    "a number that no run could bear": (
        ["--set", "train.iterations=100000000000000000000"],
        "expected 1,000,000,000 at most",
    ),
    "an infinite rate": (["--set", "train.rate=1e400"], "rate is inf; expected a number above 0"),
    "a rate that is no number": (["--set", "train.rate=nan"], "train.rate: Input should be a valid number"),
    "nothing": (["--set", "train.iterations="], "train.iterations: Input should be a valid integer"),
    "no key": (["--set", "=3"], "expected key=value, as in train.iterations=2000"),
    "no value": (["--set", "train.iterations"], "expected key=value, as in train.iterations=2000"),
    "broken YAML": (["--set", "train={"], "not readable as key=YAML"),
    "a section's name alone": (["--set", "train=3"], "expected a section with the keys"),
    "an alias within itself": (["--set", "train=&a [*a]"], "expected no alias within what it names"),
    "an unknown device": (
        ["--set", "train.device=tpu"],
        "train.device: Input should be 'cpu', 'cuda' or 'auto'",
    ),
    "a range with one end": (
        ["--set", "algorithms.maml.start=[1]"],
        "algorithms.maml.start.1: Field required",
    ),
    "no algorithm": (["--set", "compare=[]"], "compare: List should have at least 1 item"),
    "an unknown algorithm": (["--set", "compare=[sgd]"], "algorithm 'sgd' is unknown; expected one of"),
    "an algorithm twice": (["--set", "compare=[maml, maml]"], "expected every algorithm once"),
    "a seed beyond 2^63": (["--set", "tasks.seed=9223372036854775808"], "expected a seed from 0 to 2^63 - 1"),
    "another experiment's parameter": (["--set", "navigation.train.iterations=3"], "navigation is not run"),
    "more ways than classes": (
        ["--set", "tasks.distribution.ways=9"],
        "train has 4 classes; expected distribution.ways, 9, at least",
    ),
    "more shots than pictures": (
        ["--set", "tasks.stored.test_shots=[4]"],
        "classes lack pictures: test class",
    ),
    "a share that is missing": (
        ["--set", "tasks.source.split=[0.5, 0.5, 0.5]"],
        "expected the shares of train, validation and test",
    ),
    "a folder that is missing": (
        ["--set", "tasks.source.path=nowhere"],
        "nowhere is missing; expected a folder of class folders",
    ),
    "an output that is a file": (["--output", "file"], "is a file; expected the place of a folder"),
    "an output with files of others": (
        ["--output", "thesis"],
        "holds thesis.txt, not written by components.preprocess",
    ),
}
STORES = {
    "a folder for runs": ("./mlruns", "is neither a server nor a database"),
    "a server without http://": ("127.0.0.1:5000", "is neither a server nor a database"),
    "a server of another protocol": ("ftp://example.org", "is neither a server nor a database"),
    "half an IPv6 address": ("http://[::1", "is no address"),
    "a database whose driver is not there": ("mysql://example.org/mlflow", "its driver is not installed"),
    "a database in a folder that is missing": ("sqlite:///nowhere/mlflow.db", "there is no folder nowhere"),
    "a database that is a folder": ("sqlite:///thesis", "is a folder; expected a database file in it"),
    "a database that is damaged": ("sqlite:///file", "file is not a database"),
    "a server that is not there": ("http://127.0.0.1:9", "not reachable; expected a running MLflow server"),
}  # fmt: skip

ALL = {**DATA, **ALONE, **ARCHIVES, **PARAMETERS, **STORES}
