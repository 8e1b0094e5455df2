"""Tiny trainings that keep their state, for the tests of the places where it lies."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.console.signals import Stop
from components.storage import states, stores
from components.storage.states import KeptState
from components.storage.stores import Store
from metasgd.loop import Outcome, Point, Resume
from metasgd.reinforcement import meta_train_policy
from metasgd.tasks.sinusoid import Sinusoid
from metasgd.training import meta_train
from tests.metasgd.small import (
    navigation,
    policy_learner,
    same,
    sine_learner,
    sinusoid,
    training_settings,
    trpo_settings,
)
from tests.s3_server import S3Server

FILES = ("a", "b")


def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every point is remembered, and written everywhere."""
    monkeypatch.setattr(states, "REST", 0)
    for name in ("LOCAL_WRITE", "S3_WRITE"):
        monkeypatch.setattr(stores, name, 0.0)


class Interrupted(Exception):  # noqa: N818
    """Stands for whatever ends a training early."""


Train = Callable[[Resume, Callable[[Point], None]], Outcome]


def adam(resume: Resume, watch: Callable[[Point], None], tasks: Sinusoid | None = None) -> Outcome:
    """Twelve iterations of Algorithm 1."""
    return meta_train(
        sine_learner(),
        tasks or sinusoid(),
        lambda meta: 0.0,
        training_settings(),
        seed=1,
        watch=watch,
        resume=resume,
    )


def trpo(resume: Resume, watch: Callable[[Point], None]) -> Outcome:
    """Six iterations of Algorithm 2."""
    return meta_train_policy(
        policy_learner(),
        navigation(horizon=5),
        lambda meta: 0.0,
        trpo_settings(),
        1,
        shots=3,
        queries=3,
        watch=watch,
        resume=resume,
    )


def kept_in(*places: Store, identity: str = "this run") -> tuple[KeptState, list[str]]:
    """A state that is kept there, and the lines that it says."""
    said: list[str] = []
    kept = KeptState(places, FILES, identity, said.append)
    kept.find()
    return kept, said


def interrupted(*places: Store, after: int = 4, algorithm: Train = adam) -> KeptState:
    """What a training leaves behind that ended early, after so many iterations."""

    def watch(point: Point) -> None:
        if point.iteration == after:
            raise Interrupted

    kept, _ = kept_in(*places)
    with pytest.raises(Interrupted), kept.until_finished("a training", Stop()):
        algorithm(kept, watch)
    return kept


def finish(*places: Store, algorithm: Train = adam) -> tuple[list[str], list[int]]:
    """The same again, to its end, which is that of a whole one; what it said, and the points it saw."""
    kept, said = kept_in(*places)
    seen: list[Point] = []
    with kept.until_finished("a training", Stop()):
        ended = algorithm(kept, seen.append)
    kept.discard()
    whole = algorithm(kept_in()[0], lambda point: None)
    assert same(ended.meta, whole.meta)
    assert ended.curve == whole.curve
    return said, [point.iteration for point in seen]


def newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)


def objects(server: S3Server, folder: str) -> list[str]:
    return sorted(str(file.relative_to(server.folder)) for file in server.folder.rglob(f"{folder}/*"))
