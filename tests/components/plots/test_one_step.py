"""README's picture follows the reader's colours, and says how many are right."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from components.plots.one_step import DARK, Guesses, one_step, themed
from components.plots.planes import Journeys


@pytest.fixture(scope="module")
def svg() -> str:
    curve = {"support_x": [0.0, 1.0], "support_y": [0.0, 0.8], "query_x": [0.0, 1.0, 2.0],
             "truth": [0.0, 0.8, 0.9], "before": [1.0, 1.0, 1.0], "after": [0.0, 0.7, 1.0]}  # fmt: skip
    pictures = np.full((3, 4, 4), 0.5)
    guesses = Guesses(pictures, pictures, np.array([[True, False, False], [True, True, True]]))
    paths = np.linspace(0, 0.3, 2 * 5 * 4 * 2).reshape(2, 1, 5, 4, 2)
    alive = np.ones((2, 1, 5, 4), bool)
    path = Journeys("x", paths, alive, np.array([[0.3, 0.2]]), np.zeros((1, 2)), np.zeros((2, 1)))
    return one_step(curve, guesses, path)


def test_it_counts_what_is_right(svg: str) -> None:
    words = "".join(ElementTree.fromstring(svg).itertext())  # noqa: S314  # drawn here
    assert "1 of 3 right" in words
    assert "3 of 3 right" in words


def test_every_colour_that_dark_readers_see_otherwise_is_a_variable(svg: str) -> None:
    rule, drawing = svg.split("@media(prefers-color-scheme:dark)")[1].split("}}", 1)
    assert set(re.findall("#[0-9a-f]{6}", rule)) == set(DARK.values())
    assert not [color for color in DARK if color.lower() in drawing]


def test_a_colour_becomes_the_variable_that_the_rule_sets() -> None:
    plain = '<style type="text/css"></style><path style="fill: #ffffff"/>'
    changed = themed(plain)
    assert changed.endswith('<path style="fill: var(--c0)"/>')
    assert "--c0:#ffffff" in changed
