"""The HTTP service: adapt once and predict often, or both at once."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.config.parsing import to_document
from components.config.preparation import Preparation
from components.serving.bodies import Limits
from components.serving.models import open_model
from components.serving.preparation import prepared_picture
from components.serving.served_model import AdaptingModel
from metasgd.checkpoint import save_checkpoint
from metasgd.serving import AdaptedTask, ServedModel
from metasgd.tasks import Examples
from tests.components.serving.service_client import (
    ABC,
    NOTHING,
    SIDE,
    Client,
    curves_model,
    drawn,
    elsewhere,
    encoded,
    pictures_model,
    png,
    policy_model,
    queries_of,
    served_checkpoint,
    serving,
    support_of,
    tasks_of,
    values,
)


def test_adapt_once_and_predict(client: Client) -> None:
    """Classes are sorted by name; the answers are those of the model, bit for bit."""
    adapted = client.ok("/adapt", {"support": support_of(ABC)})
    assert set(adapted) == {"id", "expires", "classes", "bytes"}
    assert adapted["classes"] == ["a", "b", "c"]
    expires = datetime.fromisoformat(adapted["expires"])
    assert abs((expires - datetime.now(UTC)).total_seconds() - 3600) < 60
    answer = client.ok(f"/predict/{adapted['id']}", {"queries": queries_of(4), "probabilities": True})
    labels = torch.tensor([1, 0, 2] * 2)
    task = pictures_model().served.adapt(Examples(torch.tensor(values(6)), labels))
    expected = task.probabilities(torch.tensor(values(4, seed=2)))
    assert [one["probabilities"] for one in answer["predictions"]] == expected.tolist()
    assert [one["probability"] for one in answer["predictions"]] == expected.amax(dim=1).tolist()
    best = [answer["classes"][number] for number in expected.argmax(dim=1).tolist()]
    assert [one["class"] for one in answer["predictions"]] == best
    assert adapted["bytes"] >= task.bytes
    brief = client.ok(f"/predict/{adapted['id']}", {"queries": queries_of(4)})
    assert set(brief["predictions"][0]) == {"class", "probability"}


def test_queries_one_by_one_and_together(client: Client) -> None:
    """The same bits."""
    path = f"/predict/{client.ok('/adapt', {'support': support_of(ABC)})['id']}"
    asked = queries_of(5)
    together = client.ok(path, {"queries": asked, "probabilities": True})["predictions"]
    alone = [client.ok(path, {"queries": [one], "probabilities": True})["predictions"][0] for one in asked]
    assert alone == together


def test_tasks_in_one_request(client: Client) -> None:
    """Of unequal sizes and steps: each as if it were alone, and as by /adapt and /predict/{id}."""
    tasks: list[dict[str, Any]] = [
        {"support": support_of(ABC), "queries": queries_of(3)},
        {"support": support_of(["y", "x"], seed=3), "queries": queries_of(1), "steps": 3},
        {"support": support_of(["one", "two", "three"], seed=4)[:4], "queries": queries_of(7), "steps": 0},
    ]
    together = client.ok("/predict", {"tasks": tasks, "probabilities": True})["tasks"]
    for task, answer in zip(tasks, together, strict=True):
        assert client.ok("/predict", {"tasks": [task], "probabilities": True}) == {"tasks": [answer]}
        adapted = client.ok("/adapt", {name: part for name, part in task.items() if name != "queries"})
        asked = {"queries": task["queries"], "probabilities": True}
        assert client.ok(f"/predict/{adapted['id']}", asked) == answer
    assert [len(answer["predictions"]) for answer in together] == [3, 1, 7]


def test_what_a_checkpoint_says_of_its_pictures_is_what_serving_does(tmp_path: Path) -> None:
    """Polarity, size and channels as recorded; without a record, those that its data set has now."""
    for name, recorded in (("earlier", None), ("later", Preparation(1, 28, inverted=False))):
        (tmp_path / name).mkdir()
        model = open_model(str(served_checkpoint(tmp_path / name, recorded)))
        assert model.preparation == (recorded or Preparation(1, 28, inverted=True))
    light, dark = (
        prepared_picture(png(), "a picture", Preparation(1, 28, inverted)) for inverted in (False, True)
    )
    torch.testing.assert_close(light + dark, torch.ones(1, 28, 28))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pictures_are_prepared_as_those_of_training(client: Client, mode: str) -> None:
    """Resized, grey, and inverted where the model's were; beside values in one task."""
    contents = png(mode=mode)
    prepared = prepared_picture(contents, "a picture", tasks_of("glyphs-5way-1shot").preparation).tolist()
    support = support_of(ABC)
    by_file = [{"class": "a", "picture": encoded(contents)}, *support]
    by_value = [{"class": "a", "values": prepared}, *support]
    tasks = [
        {"support": by_file, "queries": [{"picture": encoded(contents)}]},
        {"support": by_value, "queries": [{"values": prepared}]},
    ]
    first, second = client.ok("/predict", {"tasks": tasks, "probabilities": True})["tasks"]
    assert first == second


def test_a_class_may_have_any_name(client: Client) -> None:
    names = ["</script><b>", "0", "日本\n語 "]
    adapted = client.ok("/adapt", {"support": support_of(names)})
    assert adapted["classes"] == sorted(names)
    assert client.ok("/adapt", {"support": support_of(["x" * 200, "1", "2"])})


def test_a_shared_head_takes_any_number_of_classes() -> None:
    """And without an inner step tells none apart. A row per class takes fewer, but not more."""
    names = [f"class {number}" for number in range(7)]
    with serving(pictures_model("shared")) as client:
        assert client.get("/models").json()["any_ways"] is True
        for ways in (2, 7):
            task = {"support": support_of(names[:ways]), "queries": queries_of(2)}
            one, zero = client.ok("/predict", {"tasks": [task, {**task, "steps": 0}], "probabilities": True})[
                "tasks"
            ]
            assert len(one["predictions"][0]["probabilities"]) == ways
            assert zero["predictions"][0]["probabilities"] == pytest.approx([1 / ways] * ways)


def test_fewer_classes_with_a_row_for_each(client: Client) -> None:
    adapted = client.ok("/adapt", {"support": support_of(["x", "y"])})
    answer = client.ok(f"/predict/{adapted['id']}", {"queries": queries_of(1), "probabilities": True})
    assert len(answer["predictions"][0]["probabilities"]) == 2


def test_the_order_of_examples_does_not_matter_to_names(client: Client) -> None:
    support = support_of(ABC)
    first, second = (
        client.ok("/predict", {"tasks": [{"support": given, "queries": queries_of(3)}]})["tasks"][0]
        for given in (support, support[::-1])
    )
    for one, other in zip(first["predictions"], second["predictions"], strict=True):
        assert one["class"] == other["class"]
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-4)


def test_a_model_of_curves(curves: Client) -> None:
    support = {"x": [[-1.0], [0], [2.5]], "y": [[0.5], [1], [-1]]}
    adapted = curves.ok("/adapt", {"support": support, "steps": 2})
    assert set(adapted) == {"id", "expires", "bytes"}
    answer = curves.ok(f"/predict/{adapted['id']}", {"queries": {"x": [[1.0], [2.0]]}})
    given = Examples(torch.tensor(support["x"]), torch.tensor(support["y"]))
    expected = curves_model().served.adapt(given, 2).predict(torch.tensor([[1.0], [2.0]]))
    assert answer == {"values": expected.tolist()}
    task = {"support": support, "queries": {"x": [[1], [2]]}, "steps": 2}
    assert curves.ok("/predict", {"tasks": [task]}) == {"tasks": [answer]}


def test_a_policy(policy: Client, tmp_path: Path) -> None:
    """As the registered model does: draws before adaptation, then clipped means after it."""
    model = policy_model()
    save_checkpoint(tmp_path, model.served.learner, model.served.meta, {"tasks": to_document(model.tasks)})
    registered, seen = AdaptingModel(tmp_path), [[0.0, 0.5], [3, 4]]
    before = policy.ok("/adapt", {"support": NOTHING, "steps": 0})
    asked = {"queries": {"observations": seen, "sampling_seed": 7}}
    empty = {"support_observations": np.zeros((0, 5, 2)), "support_actions": np.zeros((0, 5, 2)),
             "support_rewards": np.zeros((0, 5)), "support_alive": np.zeros((0, 5), bool),
             "query_observations": np.array(seen, np.float32)}  # fmt: skip
    expected = registered.predict(empty, {"steps": 0, "sampling_seed": 7})
    answer = policy.ok(f"/predict/{before['id']}", asked)
    np.testing.assert_allclose(answer["actions"], expected, rtol=1e-6)

    after = policy.ok("/adapt", {"support": drawn()})
    answer = policy.ok(f"/predict/{after['id']}", {"queries": {"observations": seen}})
    given = {f"support_{name}": np.array(part, bool if name == "alive" else np.float32)
             for name, part in drawn().items()}  # fmt: skip
    expected = registered.predict({**given, "query_observations": np.array(seen, np.float32)})
    np.testing.assert_allclose(answer["actions"], expected, rtol=1e-6)


def test_what_is_served(client: Client, policy: Client) -> None:
    assert client.get("/models").json() == {
        "name": "tiny", "version": "3", "algorithm": "meta-sgd", "seed": 1, "kind": "images",
        "objective": "classification", "input_shape": [1, SIDE, SIDE], "outputs": 3, "trained_ways": 3,
        "any_ways": False, "steps": 1,
    }  # fmt: skip
    found = policy.get("/models").json()
    assert (found["kind"], found["trained_ways"], found["any_ways"]) == ("control", None, None)
    assert client.get("/health").json() == {"status": "ok"}


def test_the_page_of_the_service_loads_nothing(client: Client) -> None:
    """It names every path, is allowed to load nothing, and asks for nothing."""
    page = client.get("/docs")
    assert page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert not re.findall(r"src=|<script|<link|//|@import|url\(", page.text)
    assert all(path in page.text for path in client.get("/openapi.json").json()["paths"])
    assert client.get("/redoc").status_code == 404
    assert "HTTPValidationError" not in page.text, "FastAPI's own errors, which are lists"


@dataclass(frozen=True)
class Waiting(ServedModel):
    """A model that is adapting until it is let go."""

    begun: threading.Event
    go: threading.Event

    def adapt(self, support: Examples, steps: int | None = None) -> AdaptedTask:
        self.begun.set()
        assert self.go.wait(60)
        return super().adapt(support, steps)


def test_health_is_answered_while_the_model_computes() -> None:
    """And other requests wait for their turn, unread."""
    model = curves_model()
    learner, meta = model.served.learner, model.served.meta
    waiting = Waiting(learner, meta, threading.Event(), threading.Event())
    body = {"support": {"x": [[1]], "y": [[1]]}}
    with (
        serving(replace(model, served=waiting), Limits(requests=1, threads=1)) as client,
        ThreadPoolExecutor() as pool,
    ):
        answers = [pool.submit(elsewhere, client, "/adapt", body) for _ in range(5)]
        assert waiting.begun.wait(60)
        assert client.get("/health").json() == {"status": "ok"}
        assert all(client.get(path).ok for path in ("/models", "/docs", "/openapi.json"))
        assert not any(answer.done() for answer in answers)
        waiting.go.set()
        assert all("id" in answer.result() for answer in answers)


def test_requests_at_the_same_time_give_the_same_bits(client: Client) -> None:
    """As one after the other."""
    tasks = [
        {"tasks": [{"support": support_of(ABC, seed), "queries": queries_of(2)}], "probabilities": True}
        for seed in range(8)
    ]
    expected = [client.ok("/predict", task) for task in tasks]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda task: elsewhere(client, "/predict", task), tasks))
    assert found == expected
