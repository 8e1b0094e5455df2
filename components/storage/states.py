"""Trainings keep their state, so that one that was interrupted continues.

It lies in .local/states, or where METASGD_STATES says: in another folder, or under s3://bucket/prefix too.
In each of them it lies twice, written in turn: whatever happens to one copy, the other is whole.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from components.console.signals import Stop, Terminated
from components.storage.stores import Folder, Store, default_stores
from metasgd.errors import CheckpointError, InputError
from metasgd.loop import TrainingDivergedError, TrainingState
from metasgd.resume import NotWholeError, SavedState, from_bytes, to_bytes

REST = 50  # times as long as a copy or a write took, until the next: slow stores cost a training 2 % at most


class Snapshot(NamedTuple):
    """A state at one point, as the bytes of a file."""

    iteration: int
    content: bytes


class Pace:
    """Says when something is due again: `interval` seconds, or REST times what it took, after it ended."""

    def __init__(self, interval: float) -> None:
        self.interval, self.due = interval, time.monotonic() + interval

    def is_due(self) -> bool:
        return time.monotonic() >= self.due

    @contextmanager
    def timed(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self.due = ended + max(self.interval, REST * (ended - started))


class Copies:
    """A state's copies in one store, written in turn.

    newest: the index of the newest; iteration: its own. Both are -1 where there is none.
    """

    def __init__(self, store: Store, files: Sequence[str]) -> None:
        self.store, self.files, self.pace = store, files, Pace(store.interval)
        self.newest, self.iteration = -1, -1
        self.failed = False

    def find(self, identity: str) -> tuple[SavedState | None, list[CheckpointError]]:
        """The newest whole copy, and what is wrong with others."""
        found, problems = None, []
        for index, file in enumerate(self.files):
            try:
                content = self.store.read(file)
                saved = None if content is None else from_bytes(content, identity, f"{self.store}/{file}")
            except CheckpointError as error:
                problems.append(error)
                continue
            if saved is not None and saved.iteration > self.iteration:
                found, self.newest, self.iteration = saved, index, saved.iteration
        return found, problems

    def write(self, snapshot: Snapshot) -> None:
        """Over the older copy."""
        index = (self.newest + 1) % len(self.files)
        with self.pace.timed():
            self.store.write(self.files[index], snapshot.content)
        self.newest, self.iteration = index, snapshot.iteration


class KeptState:
    """Implements `metasgd.loop.Resume`: a copy in memory often, and one in the stores now and then.

    files: the names of the copies in each store. identity: what the state belongs to.
    say: told what goes wrong without stopping the training.
    run_id: the training's MLflow run, kept with the state, for the next attempt to continue.
    last: the iteration with which the training is over; its state is always remembered.
    """

    def __init__(
        self, stores: Sequence[Store], files: Sequence[str], identity: str, say: Callable[[str], None]
    ) -> None:
        self.places = [Copies(store, files) for store in stores]
        self.identity, self.say = identity, say
        self.found: SavedState | None = None
        self.snapshot: Snapshot | None = None
        self.pace = Pace(0)
        self.started = time.monotonic()
        self.run_id: str | None = None
        self.last: int | None = None

    def find(self, strict: bool = False) -> None:
        """Read the newest whole copy; one that is damaged or of another training is said and passed over.

        strict: or raised, as a CheckpointError. Raises InputError where a store cannot be asked, unless
        another has a state: then that is said.
        """
        answers, away = [], []
        for place in self.places:
            try:
                answers.append(place.find(self.identity))
            except InputError as error:
                away.append(error)
        self.found = max(
            (saved for saved, _ in answers if saved), key=lambda one: one.iteration, default=None
        )
        if away and not self.found:
            raise away[0]
        for failure in away:
            self.say(f"warning: {failure}; the state that is kept elsewhere is used")
        instead = "the copy beside it is used" if self.found else "the training starts anew"
        for problem in [problem for _, problems in answers for problem in problems]:
            if strict:
                advice = "; delete it to start anew" if isinstance(problem, NotWholeError) else ""
                raise CheckpointError(f"{problem}{advice}")
            self.say(f"warning: {problem}; {instead}")
        if self.found:
            self.say(f"continues from iteration {self.found.iteration}")

    @property
    def earlier_run(self) -> str | None:
        """The MLflow run of the attempt that the state is from."""
        return self.found.about.get("run_id") if self.found else None

    @property
    def seconds(self) -> float:
        """What the training took, with what it took until the state that it continues from."""
        earlier = self.found.about["seconds"] if self.found else 0.0
        return float(earlier + time.monotonic() - self.started)

    def restore(self, state: TrainingState) -> None:
        if self.found:
            self.found.restore(state)

    def save(self, state: TrainingState) -> None:
        """Remember this point, if it is time to, and write it wherever it is time to."""
        if not self.pace.is_due() and state.iteration != self.last:
            return
        with self.pace.timed():
            about = {"seconds": self.seconds, "run_id": self.run_id}
            content = to_bytes(state, self.identity, about)
        self.snapshot = Snapshot(state.iteration, content)
        for place in self.places:
            if place.pace.is_due():
                self._write(place)

    def flush(self) -> int:
        """Write the last remembered point; returns the iteration of what is kept, -1 for nothing."""
        for place in self.places:
            self._write(place)
        return max(place.iteration for place in self.places)

    def discard(self) -> None:
        """Nothing is left to continue."""
        for place in self.places:
            try:
                for file in place.files:
                    place.store.delete(file)
            except (InputError, OSError) as error:
                self.say(f"warning: the state is left behind ({error}); it can be deleted")

    @contextmanager
    def until_finished(self, name: str, stop: Stop) -> Iterator[None]:
        """Around a training: its state is written when it ends, early or not, and deleted where it diverges.

        name: the training's. An interruption gets words that say what was kept.
        stop: whether a signal requested one; whatever a library made of it, it counts as an interruption.
        """
        self.started = time.monotonic()
        try:
            yield
        except TrainingDivergedError:  # as it would again
            self.discard()
            raise
        except BaseException as error:
            interruption = isinstance(error, (KeyboardInterrupt, Terminated))
            requested = stop.end() or (type(error) if interruption else None)
            kept = self.flush()
            if requested is None:
                raise
            word = "terminated" if requested is Terminated else "interrupted"
            raise requested(f"{name}: {word}; {_what_next(kept)}") from None
        self.flush()

    def _write(self, place: Copies) -> None:
        """What fails is said once, and the training goes on."""
        if self.snapshot is None or self.snapshot.iteration <= place.iteration:
            return
        try:
            place.write(self.snapshot)
        except (InputError, OSError) as error:
            if not place.failed:
                self.say(f"warning: the state cannot be kept ({error}); an interruption would cost more")
            place.failed = True


def _what_next(kept: int) -> str:
    """kept: the iteration of the state that is kept; -1 for none."""
    if kept < 0:
        return "no state is kept, and the same command starts anew"
    return f"the state of iteration {kept} is kept, and the same command continues"


@contextmanager
def open_state(name: str, identity: str, file: Path | None = None) -> Iterator[KeptState]:
    """The kept state of a training, read if there is one.

    name: the training's, for messages. identity: that of parameters, data and code.
    file: the one copy, in place of those that the environment names.
    Raises InputError for an environment that names no place, a server that refuses, and a file that is
    damaged or of another training.
    """
    files = [file.name] if file else [f"{identity}.{copy}.safetensors" for copy in "ab"]
    with nullcontext([Folder(file.parent)]) if file else default_stores() as stores:
        kept = KeptState(stores, files, identity, lambda line: print(f"{name}: {line}", flush=True))
        kept.find(strict=file is not None)
        yield kept
