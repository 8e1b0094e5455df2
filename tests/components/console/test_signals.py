"""Signals are wishes: granted where nothing is in the middle of anything, and never lost."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from components.console import command
from components.console.command import Stop, Terminated, stoppable
from components.train.stopping import checked
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
        assert stop.wish is end
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
    monkeypatch.setattr(command, "PATIENCE", 1000.0)
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
    """What is drawn, and everything else that dynamics can."""
    plain, wrapped = navigation(), checked(navigation(), lambda: None)
    drawn = [dynamics.sample(3, generator(1, "tasks"))["goal"] for dynamics in (plain, wrapped)]
    assert torch.equal(*drawn)
    assert (wrapped.horizon, wrapped.observations, wrapped.actions) == (100, 2, 2)
    assert wrapped.settings is not plain.settings
    assert wrapped.settings == plain.settings


def test_a_wish_is_nothing_without_a_signal() -> None:
    stop = Stop()
    stop.check()
    assert stop.end() is None
