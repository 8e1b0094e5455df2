"""Adapted tasks are kept within bounds of number, memory and time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from components.serving.bodies import Limits
from components.serving.store import AdaptedTasks
from metasgd.serving import AdaptedTask
from metasgd.tasks import Examples
from tests.components.serving.service_client import Client, curves_model, require_line, serving


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_adapted_task_expires() -> None:
    """A fixed time after adaptation, which the answer says; use does not prolong it."""
    clock = Clock()
    with serving(curves_model(), Limits(seconds=60), clock=clock) as client:
        adapted = client.ok("/adapt", {"support": {"x": [[1]], "y": [[1]]}})
        assert adapted["expires"] == "1970-01-01T00:17:40Z"
        path, asked = f"/predict/{adapted['id']}", {"queries": {"x": [[1]]}}
        clock.now += 59.9
        assert client.ok(path, asked)
        clock.now += 0.1
        require_line(client.post(path, asked), 404, "no adapted task has this id")


def test_the_least_recently_used_task_makes_room() -> None:
    with serving(curves_model(), Limits(most_tasks=2)) as client:

        def adapted() -> str:
            return str(client.ok("/adapt", {"support": {"x": [[1]], "y": [[1]]}})["id"])

        def status(identity: str) -> int:
            return client.post(f"/predict/{identity}", {"queries": {"x": [[1]]}}).status_code

        first, second = adapted(), adapted()
        assert status(first) == 200
        third = adapted()
        assert [status(one) for one in (first, second, third)] == [200, 404, 200]


def test_an_adapted_task_can_be_dropped(curves: Client) -> None:
    adapted = curves.ok("/adapt", {"support": {"x": [[1]], "y": [[1]]}})
    assert curves.delete(f"/adapt/{adapted['id']}").status_code == 204
    require_line(curves.delete(f"/adapt/{adapted['id']}"), 404, "no adapted task has this id")
    require_line(curves.post(f"/predict/{adapted['id']}", {"queries": {"x": [[1]]}}), 404, "no adapted task")


def adapted_task() -> AdaptedTask:
    return curves_model().served.adapt(Examples(torch.ones(1, 1), torch.ones(1, 1)))


def test_the_store_is_bounded_in_bytes() -> None:
    """Never more than the bound; one task that alone is larger is refused and drives nothing out."""
    task = adapted_task()
    store = AdaptedTasks(most_tasks=100, most_bytes=3 * task.bytes, seconds=60)
    ids = [store.add(task)[0] for _ in range(5)]
    assert store.bytes == 3 * task.bytes
    assert [store.find(one) is not None for one in ids] == [False, False, True, True, True]
    with pytest.raises(ValueError, match=r"takes \d+ bytes; expected \d+ at most"):
        store.add(task, classes=("x" * 10**6,))
    assert len(store) == 3
    assert store.remove(ids[4])
    assert store.bytes == 2 * task.bytes


def test_what_expired_takes_no_memory() -> None:
    clock = Clock()
    store = AdaptedTasks(most_tasks=10, most_bytes=10**9, seconds=5, clock=clock)
    identity, _ = store.add(adapted_task(), ("a", "b"))
    clock.now += 5
    assert (store.find(identity), store.remove(identity), len(store), store.bytes) == (None, False, 0, 0)


def test_the_store_serves_several_threads() -> None:
    """Each finds what it added last, and the books are right after it all."""
    task = adapted_task()
    store = AdaptedTasks(most_tasks=50, most_bytes=10**9, seconds=60)

    def use(_: int) -> bool:
        found = [store.find(store.add(task)[0]) is not None for _ in range(50)]
        return all(found)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(8)))
    assert len(store) == 50
    assert store.bytes == 50 * task.bytes
