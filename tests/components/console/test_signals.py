"""A signal requests a stop, which happens where nothing is in the middle of anything, and is never lost."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from components.console import signals
from components.console.signals import Terminated, stoppable
from components.kinds.stopping import checked
from metasgd.seeds import generator
from metasgd.training import meta_train
from tests.metasgd.small import navigation, sine_learner, sinusoid, training_settings

ENDS = [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Ctrl-C, too, which is ignored where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number: int) -> None:
    """To this process, which has handled it when this returns."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "end"), ENDS)
def test_a_signal_waits_for_the_next_check(number: int, end: type[BaseException]) -> None:
    """And is granted there; afterwards, signals do what they did."""
    before = signal.getsignal(number)
    with pytest.raises(end), stoppable() as stop:  # noqa: PT012
        stop.check()
        send(number)
        assert stop.requested is end
        stop.check()
    assert signal.getsignal(number) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(("number", "end"), ENDS)
def test_a_second_signal_is_granted_at_once(number: int, end: type[BaseException]) -> None:
    """The first one's kind counts."""
    with stoppable():
        send(number)
        with pytest.raises(end):
            send(signal.SIGINT)


def test_after_a_while_it_is_raised_wherever_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, because a library may lose an exception; until the end is under way.

    The timer is set and repeats itself; its signal is sent by hand, because it would come at any moment.
    """
    monkeypatch.setattr(signals, "PATIENCE", 1000.0)
    with stoppable() as stop:
        send(signal.SIGTERM)
        first, every = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < first <= every == 1000
        for _ in range(3):
            with pytest.raises(Terminated):
                send(signal.SIGALRM)
        assert stop.end() is Terminated
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_a_shell_ignores_stays_ignored() -> None:
    """Ctrl-C is not for background jobs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable() as stop:
            send(signal.SIGINT)
            stop.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    """Only the main thread can handle them."""
    handlers: list[object] = []

    def body() -> None:
        with stoppable() as stop:
            stop.check()
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert handlers == [before]


class Ended(Exception):  # noqa: N818
    """Raised by a check."""


def after(calls: int) -> Callable[[], None]:
    """A check that raises when it was called so often."""
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Ended

    return check


def test_every_iteration_is_checked() -> None:
    """Five are done, and the sixth is not begun."""
    seen: list[int] = []
    with pytest.raises(Ended):
        meta_train(
            sine_learner(),
            checked(sinusoid(), after(5)),
            lambda meta: 0.0,
            training_settings(),
            seed=1,
            watch=lambda point: seen.append(point.iteration),
        )
    assert seen == [1, 2, 3, 4, 5]


def test_checked_tasks_are_the_same() -> None:
    """What is drawn, and everything else that dynamics can; only the drawing is checked."""
    plain = navigation()
    wrapped = checked(plain, after(1))
    tasks = wrapped.sample(3, generator(1, "tasks"))
    assert torch.equal(tasks["goal"], plain.sample(3, generator(1, "tasks"))["goal"])
    assert wrapped.settings is plain.settings
    assert (wrapped.horizon, wrapped.observations, wrapped.actions) == (100, 2, 2)
    states = wrapped.start(tasks, 2)
    for mine, theirs in zip(
        wrapped.step(tasks, states, states), plain.step(tasks, states, states), strict=True
    ):
        assert torch.equal(mine, theirs)
    with pytest.raises(Ended):
        wrapped.sample(3, generator(1, "tasks"))


def test_nothing_stops_without_a_signal() -> None:
    """Neither a check nor the end of the block; the timer was never set."""
    with stoppable() as stop:
        stop.check()
        assert stop.requested is None
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert stop.end() is None
