"""A champion moved back by hand, with a record."""

import pytest

from components.tracking.registry import Move, champion, move_champion, moves, rollback
from metasgd.errors import InputError
from tests.components.lane import Lane, store
from tests.components.promote.contest import BAD, GOOD, MIDDLING, Contest, Gate


@pytest.fixture(scope="module")
def record(lane: Lane) -> str:
    """A model with three versions, each better than the one before."""
    with store(lane.root) as client:
        contest = Contest(Gate(lane, client), "three-versions")
        for seed, offset in enumerate((BAD, MIDDLING, GOOD), 1):
            contest.promote(contest.contender(offset, seed))
    return contest.name


@pytest.fixture
def three(gate: Gate, record: str) -> str:
    """That model with version 3 as the champion, and the record of its three promotions."""
    for tag in gate.client.get_registered_model(record).tags:
        gate.client.delete_registered_model_tag(record, tag)
    for before, after in ((None, "1"), ("1", "2"), ("2", "3")):
        move_champion(gate.client, record, Move(before, after, "better"))
    return record


def test_rollback_goes_to_the_champion_before(gate: Gate, three: str) -> None:
    """Without a version, back to whom the champion replaced; the move is on record."""
    move = rollback(gate.client, three, None)
    assert move == Move("3", "2", "rollback by hand")
    assert champion(gate.client, three) == "2"
    assert moves(gate.client, three)[-1] == move
    assert len(moves(gate.client, three)) == 4


def test_rollback_to_a_version(gate: Gate, three: str) -> None:
    """With a version, straight to it."""
    assert rollback(gate.client, three, "1") == Move("3", "1", "rollback by hand")
    assert champion(gate.client, three) == "1"


def test_rolled_back_twice(gate: Gate, three: str) -> None:
    """3 replaced 2, which replaced 1: two rollbacks end at 1, not at 3 again."""
    rollback(gate.client, three, None)
    rollback(gate.client, three, None)
    assert champion(gate.client, three) == "1"


def test_rollbacks_that_are_impossible(gate: Gate, three: str) -> None:
    """Unknown model, unknown version, the champion itself, nothing before it: one line each."""
    cases = {
        "VERSION '9' of three-versions does not exist; expected one of 1, 2, 3": (three, "9"),
        "VERSION '3' of three-versions is the champion already; expected another version": (three, "3"),
    }
    for message, (model, version) in cases.items():
        with pytest.raises(InputError) as caught:
            rollback(gate.client, model, version)
        assert str(caught.value) == message
    with pytest.raises(InputError, match=r"MODEL 'nobody' is not registered; expected one of: .*three"):
        rollback(gate.client, "nobody", None)
    with pytest.raises(InputError, match="version 1 had no champion before it; expected VERSION="):
        rollback(gate.client, "sinusoid-5shot", None)
    assert champion(gate.client, three) == "3"
