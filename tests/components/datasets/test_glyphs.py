"""Glyphs: hand-like drawings of characters, the same everywhere, with no two classes alike."""

import re

import pytest
import torch
from torch import Tensor

from components.datasets.glyphs import candidates, distinct_characters, draw_class, font_files
from components.datasets.sources import load_pictures
from tests.components.datasets.helpers import flat, image_source

SOURCE = image_source("glyphs", "", size=28, split=(0.64, 0.16, 0.2))
FEW = "AKSgk3\u0416\u03a9\u0634"


@pytest.fixture(scope="module")
def fields() -> dict[int, Tensor]:
    """Distance fields of a few characters."""
    return candidates({ord(character) for character in FEW})


def test_a_class_has_twenty_different_drawings(fields: dict[int, Tensor]) -> None:
    """No drawing is empty, solid, cut off, or a copy of another."""
    for code, faces in fields.items():
        drawings = draw_class(faces, code, SOURCE)
        assert drawings.shape == (20, 1, 28, 28)
        assert drawings.dtype == torch.uint8
        ink = drawings.float().div(255).mean((1, 2, 3))
        assert ink.min() > 0.01
        assert ink.max() < 0.4
        assert len(drawings.flatten(1).unique(dim=0)) == 20
        edges = torch.cat([drawings[..., 0, :], drawings[..., -1, :], drawings[..., 0], drawings[..., -1]])
        assert edges.max() == 0


def test_strokes_are_bright_on_dark(fields: dict[int, Tensor]) -> None:
    """As Omniglot is loaded: background 0, stroke 255."""
    drawings = draw_class(fields[ord("K")], ord("K"), SOURCE)
    assert drawings.amax((1, 2, 3)).min() == 255
    assert drawings.float().median() == 0


def test_a_class_depends_on_its_code_point_alone(fields: dict[int, Tensor]) -> None:
    """Drawn alone or among others, now or later: the same pictures, bit by bit."""
    alone = candidates({ord("g")})
    assert torch.equal(
        draw_class(alone[ord("g")], ord("g"), SOURCE), draw_class(fields[ord("g")], ord("g"), SOURCE)
    )


def test_drawings_of_a_class_are_nearer_than_those_of_others(fields: dict[int, Tensor]) -> None:
    """Distorted, but still the character: a prototype of 10 drawings recognises most of the other 10."""
    classes = torch.stack([draw_class(faces, code, SOURCE)[:, 0] for code, faces in fields.items()])
    vectors = torch.nn.functional.avg_pool2d(classes.float(), 4).flatten(2)
    prototypes = vectors[:, :10].mean(1)
    nearest = torch.cdist(vectors[:, 10:].flatten(0, 1), prototypes).argmin(1).view(len(fields), 10)
    assert (nearest == torch.arange(len(fields))[:, None]).float().mean() > 0.5  # chance: 0.11


def test_look_alikes_are_one_class() -> None:
    """Latin, Greek and Cyrillic A; small and capital s; a turned A: only the first stays."""
    alike = candidates({ord(character) for character in "AS\u0391\u0410s\u2200"})
    assert list(distinct_characters(alike)) == [ord("A"), ord("S")]


def test_unlike_characters_stay() -> None:
    """Letters that people tell apart are classes of their own."""
    characters = {ord(character) for character in "ABEKMSXZ"}
    assert set(distinct_characters(candidates(characters))) == characters


def test_blank_combining_and_composed_characters_are_left_out() -> None:
    """Spaces, accents, accented letters and private characters are no classes."""
    assert candidates({ord(character) for character in " \u00a0\u0301\u00c4\u2003\ue000."}) == {}


def test_the_data_set_is_whole_and_hashed() -> None:
    """Over 1,000 classes of twenty, split by share and seed; the fingerprint knows no path."""
    loaded = load_pictures(SOURCE, 1)
    names = flat(loaded.classes)
    assert len(names) == len(set(names)) > 1000
    assert set(flat(loaded.counts)) == {20}
    assert len(loaded.images) == 20 * len(names)
    assert loaded.images.amax((1, 2, 3)).min() > 100
    assert len(loaded.classes["train"]) == round(0.64 * len(names))
    assert re.fullmatch(r"[0-9a-f]{64}", loaded.fingerprint)
    assert all(path.is_file() for path in font_files())
