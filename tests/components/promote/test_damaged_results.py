"""Outputs of other steps that are damaged, cut or of another form: one line, and nothing is registered."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from components.artifacts.runs import RUN, RUNS
from metasgd.errors import InputError
from metasgd.own_folder import MARK
from tests.components.promote.contest import GOOD, Contest

RESULT, SCORES = "meta-sgd-seed1.json", "meta-sgd-seed1.parquet"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def without_gate(path: Path) -> None:
    scores = pd.read_parquet(path)
    scores[scores["set"] != "gate"].to_parquet(path, index=False)


def fewer_tasks(path: Path) -> None:
    scores = pd.read_parquet(path)
    scores[scores["task"] < 7].to_parquet(path, index=False)


def without_a_column(path: Path) -> None:
    pd.read_parquet(path).drop(columns="score").to_parquet(path, index=False)


def without_key(path: Path) -> None:
    document = json.loads(path.read_text())
    del document["steps"]
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (RESULT, cut, "Invalid JSON"),
        (RESULT, text("[]"), RESULT),
        (RESULT, folder, "no such file; expected the result of a lane"),
        (RESULT, without_key, "steps: Field required"),
        (SCORES, cut, "not readable (ArrowInvalid); expected per-task scores"),
        (SCORES, folder, "not readable"),
        (SCORES, without_a_column, "not readable"),
        (SCORES, without_gate, "holds no scores on gate tasks"),
        (SCORES, fewer_tasks, "7 gate tasks; expected the 30 of"),
        (RUNS, text("{"), RUNS),
        (RUNS, text('{"meta-sgd-seed1": 3}'), RUNS),
        (RUNS, folder, RUNS),
    ],
)
@pytest.mark.parametrize("marked", [True, False])
def test_damaged_results_are_refused(
    contest: Contest, name: str, damage: Callable[[Path], object], words: str, marked: bool
) -> None:
    """By the digests of the step that wrote them; without those, by what they should hold."""
    checkpoint = contest.contender(GOOD, seed=1)
    contest.promote(checkpoint, dry_run=True)
    results = contest.folder / "results"
    damage(results / name)
    if not marked:
        (results / MARK).unlink()
    with pytest.raises(InputError) as refused:
        contest.promote(checkpoint, evaluated=True)
    line = str(refused.value)
    is_seen = marked and name != RUNS and (results / name).is_file()
    assert ("differs from what was written there" if is_seen else words) in line
    assert "\n" not in line
    assert contest.versions == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"run_id": 3}', "\x00"])
def test_a_damaged_record_of_the_run_is_refused(contest: Contest, content: str) -> None:
    """run.json is ignored by DVC, and by the digests: it may be anything."""
    checkpoint = contest.contender(GOOD, seed=1)
    (checkpoint / RUN).write_text(content)
    with pytest.raises(InputError, match=rf"{RUN}: ") as refused:
        contest.promote(checkpoint)
    assert "\n" not in str(refused.value)
