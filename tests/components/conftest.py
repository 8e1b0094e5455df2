"""One trained and promoted lane for all tests of promotion."""

import re
from collections.abc import Iterator

import pytest

from components.config.settings import Promotion
from components.promote.step import promote
from tests.components.lane import Lane, store
from tests.components.promote.contest import Contest, Gate


@pytest.fixture(scope="session")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Lane:
    """A lane with Meta-SGD trained, evaluated and promoted, in a store of its own."""
    folder = tmp_path_factory.mktemp("promote")
    with store(folder):
        # Slow enough that a step is worth taking, as a first champion's has to be.
        made = Lane(folder, "algorithms.meta-sgd.start=[0.001, 0.001]", "train.alpha_rate=0.01")
        made.evaluate(made.train())
        promote("sinusoid-5shot", Promotion(False), [made.checkpoint()], made.results, made.episodes,
                folder / "decision.json")  # fmt: skip
    return made


@pytest.fixture
def gate(lane: Lane) -> Iterator[Gate]:
    with store(lane.root) as client:
        yield Gate(lane, client)


@pytest.fixture
def contest(gate: Gate, request: pytest.FixtureRequest) -> Contest:
    return Contest(gate, re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-"))
