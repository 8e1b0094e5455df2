"""Numbers of the documents that claim a result: each is one of results/, or says what measured it.

A claim is a number with ±, per cent, or a unit of time, memory or speed, outside of code and of what
`make docs` and `make bench` write. Either a table that `make docs` writes from results/ has it, or its
section (of the second level) names the commit that measured it.
"""

import re
from collections.abc import Iterator

import pytest

from components.config.code import ROOT
from tests.pages import NAMES

NUMBER = r"(?:\d[\d,]*)?\.?\d+"
UNIT = r"(?:%|points\b|µs|ms|s\b|seconds|min\b|minutes|h\b|hours|kB|MB|GB|MiB|GFLOP/s)"
CLAIM = re.compile(rf"({NUMBER})(?= ± )|(?<=± )({NUMBER})|({NUMBER})(?= {UNIT})")
WRITTEN = re.compile(r"<!-- (?:\[\[\[cog|make bench).*?<!-- (?:\[\[\[end\]\]\]|end) -->", re.DOTALL)
COMMIT = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7}\b")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)

# What has a unit and is no result: limits and levels that the page states, and what papers print.
GIVEN = {
    "docs/commands.md": {"2.5"},  # the gate's level
    "docs/faults.md": {"60"},  # METASGD_PATIENCE
    "docs/kubeflow.md": {"120", "210"},  # pauses between attempts, and their sum
    "docs/learners.md": {"92", "82.8", "94.9"},  # Koch's and Santoro's, by protocols of their own
    "docs/report.md": {"20"},  # chance, with five classes
    "docs/serving.md": {"512", "32"},  # what a server keeps, and takes
}
CONFIDENCE = "95"  # of every interval


def written() -> set[str]:
    """All numbers that `make docs` writes from results/."""
    tables = (table for name in NAMES for table in WRITTEN.findall((ROOT / name).read_text()))
    return {number for table in tables for number in re.findall(NUMBER, table)}


def claims(name: str) -> Iterator[tuple[str, str]]:
    """Every number that claims a result, with its section."""
    for section in re.split(r"^(?=## )", (ROOT / name).read_text(), flags=re.MULTILINE):
        for found in CLAIM.finditer(CODE.sub("", WRITTEN.sub("", section))):
            yield next(filter(None, found.groups())), section


OURS = written()


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_has_its_origin(name: str) -> None:
    known = OURS | GIVEN.get(name, set()) | {CONFIDENCE}
    unproved = [
        number for number, section in claims(name) if number not in known and not COMMIT.search(section)
    ]
    assert unproved == []


def test_what_is_given_is_still_there() -> None:
    for name, numbers in GIVEN.items():
        assert numbers <= {number for number, _ in claims(name)}, name


def test_a_claim_is_found_by_its_unit_or_its_interval() -> None:
    text = "It took 197 s, 1,400 s or .12 ms; 0.752 ± 0.054 of 600 tasks, -9.72 ± 0.41, 88.0 %."
    found = [next(filter(None, match.groups())) for match in CLAIM.finditer(text)]
    assert found == ["197", "1,400", ".12", "0.752", "0.054", "9.72", "0.41", "88.0"]
