"""A kept state: what is remembered and written when, which copy is taken, and what is said."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.config.code import ROOT
from components.console.signals import Stop, Terminated
from components.storage import states, stores
from components.storage.stores import Folder
from components.train.identity import CODE, code_digest
from metasgd.loop import Outcome, Point, Resume
from metasgd.tasks import Batch
from metasgd.tasks.sinusoid import Sinusoid
from metasgd.training import meta_train
from tests.components.storage.kept import (
    FILES,
    Interrupted,
    Train,
    adam,
    always,
    finish,
    interrupted,
    kept_in,
    newest,
    trpo,
)
from tests.metasgd.small import sine_learner, sinusoid, training_settings


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch)


@pytest.mark.parametrize("algorithm", [adam, trpo])
def test_a_training_continues_from_its_last_point(tmp_path: Path, algorithm: Train) -> None:
    """With the bits and the curve of a whole one; it says from where, and leaves nothing behind."""
    interrupted(Folder(tmp_path), algorithm=algorithm)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]
    said, seen = finish(Folder(tmp_path), algorithm=algorithm)
    assert said == ["continues from iteration 4"]
    assert seen[0] == 5
    assert list(tmp_path.iterdir()) == []


class BreaksInside(Sinusoid):
    """Curves whose sixth meta-batch is never drawn: in a point of two iterations, between them."""

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        self.__dict__["drawn"] = self.__dict__.get("drawn", 0) + 1
        if self.__dict__["drawn"] == 6:
            raise Interrupted
        return super().sample(count, generator)


def test_an_interruption_between_points_writes_the_last_point(tmp_path: Path) -> None:
    """Theta, optimiser and generator have gone on from there; what is kept has not."""
    settings = training_settings(iterations=200, validate_every=50)  # a point every second iteration

    def long(resume: Resume, watch: Callable[[Point], None], tasks: Sinusoid | None = None) -> Outcome:
        distribution = tasks or sinusoid()
        return meta_train(
            sine_learner(), distribution, lambda meta: 0.0, settings, 1, watch=watch, resume=resume
        )

    kept, _ = kept_in(Folder(tmp_path))
    with pytest.raises(Interrupted), kept.until_finished("a training", Stop()):
        long(kept, lambda point: None, BreaksInside(sinusoid().settings))
    said, _ = finish(Folder(tmp_path), algorithm=long)
    assert said == ["continues from iteration 4"]


def test_a_store_is_not_written_more_often_than_its_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short training writes nothing; when it ends early, what it remembers is written."""
    monkeypatch.setattr(stores, "LOCAL_WRITE", 1e9)
    kept, _ = kept_in(Folder(tmp_path))
    written: list[list[Path]] = []
    adam(kept, lambda point: written.append(list(tmp_path.iterdir())))
    assert not any(written)
    interrupted(Folder(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    said, _ = finish(Folder(tmp_path))
    assert said == ["continues from iteration 4"]


def test_what_is_slow_is_done_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 2 seconds of work, rest for 50 times as long, or for the interval, if that is longer."""
    now = [100.0]
    monkeypatch.setattr("components.storage.states.time.monotonic", lambda: now[0])
    monkeypatch.setattr(states, "REST", 50)
    for interval, rest in ((30.0, 100.0), (300.0, 300.0)):
        pace = states.Pace(interval)
        assert not pace.is_due()
        with pace.timed():
            now[0] += 2
        now[0] += rest - 1
        assert not pace.is_due()
        now[0] += 1
        assert pace.is_due()


@pytest.mark.parametrize("damage", ["truncated", "empty", "a flipped bit", "a folder"])
def test_a_damaged_copy_is_said_and_the_one_before_it_taken(tmp_path: Path, damage: str) -> None:
    """In one line that names the damaged file, which is written over next."""
    interrupted(Folder(tmp_path))
    file = newest(tmp_path)
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    else:
        file.write_bytes({"truncated": whole[:-9], "empty": b"", "a flipped bit": bytes(flipped)}[damage])
    _, said = kept_in(Folder(tmp_path))
    assert len(said) == 2
    assert said[0].startswith(f"warning: {file}: ")
    assert said[0].endswith("; the copy beside it is used")
    assert said[1] == "continues from iteration 3"
    assert not any("\n" in line for line in said)
    if damage != "a folder":
        finish(Folder(tmp_path))


def test_where_both_copies_are_damaged_it_starts_anew(tmp_path: Path) -> None:
    """And says so."""
    interrupted(Folder(tmp_path))
    for file in tmp_path.iterdir():
        file.write_bytes(b"nothing")
    said, seen = finish(Folder(tmp_path))
    assert len(said) == 2
    assert all(line.endswith("; the training starts anew") for line in said)
    assert seen[0] == 1


def test_a_foreign_copy_is_said_and_not_used(tmp_path: Path) -> None:
    """Alone, or beside one of this training."""
    interrupted(Folder(tmp_path))
    kept, said = kept_in(Folder(tmp_path), identity="another run")
    assert kept.found is None
    assert len(said) == 2
    assert "a: the state of run this run; expected that of another run; the training starts anew" in said[0]


def test_a_store_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    """And the training goes on, and keeps its state in the other place."""
    (tmp_path / "file").touch()
    broken, whole = Folder(tmp_path / "file" / "folder"), Folder(tmp_path / "whole")
    kept, said = kept_in(whole)
    kept.places.append(states.Copies(broken, FILES))
    adam(kept, lambda point: None)
    (line,) = said
    assert line.startswith("warning: the state cannot be kept (")
    assert kept.flush() == 12


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        (4, "a training: interrupted; the state of iteration 4 is kept, and the same command continues"),
        (0, "a training: interrupted; no state is kept, and the same command starts anew"),
    ],
)
def test_an_interruption_says_what_is_kept(tmp_path: Path, reached: int, words: str) -> None:
    """Also one that comes before anything was done: what an earlier attempt kept is still there."""
    if reached:
        interrupted(Folder(tmp_path), after=reached)
    kept, _ = kept_in(Folder(tmp_path))
    with pytest.raises(KeyboardInterrupt) as caught, kept.until_finished("a training", Stop()):
        raise KeyboardInterrupt
    assert str(caught.value) == words


@pytest.mark.parametrize("end", [KeyboardInterrupt, Terminated])
def test_whatever_a_library_makes_of_a_signal_it_is_an_interruption(
    tmp_path: Path, end: type[BaseException]
) -> None:
    """Torch raises an error of its own where it is interrupted in the middle."""
    kept, _ = kept_in(Folder(tmp_path))
    stop = Stop()
    stop.requested = end
    with (
        pytest.raises(end, match=r"^a training: .*; no state is kept"),
        kept.until_finished("a training", stop),
    ):
        raise RuntimeError("INTERNAL ASSERT FAILED")


def test_the_time_of_all_attempts_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Iteration 4 was kept after three seconds, one for each point before; then eight more points."""
    now = [100.0]
    monkeypatch.setattr("components.storage.states.time.monotonic", lambda: now[0])

    def watch(point: Point) -> None:
        now[0] += 1
        if point.iteration == 4:
            raise Interrupted

    kept, _ = kept_in(Folder(tmp_path))
    with pytest.raises(Interrupted), kept.until_finished("a training", Stop()):
        adam(kept, watch)
    assert kept.seconds == 4
    kept, _ = kept_in(Folder(tmp_path))
    with kept.until_finished("a training", Stop()):
        adam(kept, watch)
    assert kept.seconds == 3 + 8


def test_code_decides_what_is_continued(tmp_path: Path) -> None:
    """A changed byte in what a training imports; not in a report, nor in caches."""
    for name in ("metasgd", "components"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    seen = {code_digest(tmp_path)}
    assert seen == {code_digest()}
    (tmp_path / "components" / "report" / "step.py").write_text("")
    (tmp_path / "metasgd" / "cache.pyc").write_text("")
    assert code_digest(tmp_path) in seen
    for name in CODE:
        place = tmp_path / name
        file = min(place.glob("*.py"))
        file.write_bytes(file.read_bytes().replace(b"\n", b"\n\n", 1))
        assert code_digest(tmp_path) not in seen
        seen.add(code_digest(tmp_path))
