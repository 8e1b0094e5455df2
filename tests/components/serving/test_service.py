"""The HTTP service: its answers are those of `ServedModel`, and what is wrong gets 4xx and one line."""

import base64
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
import uvicorn
from PIL import Image

from components.config.code import ROOT
from components.config.parsing import to_document
from components.config.settings import TaskSettings
from components.kinds.experiment import load_experiment
from components.serving.bodies import Limits
from components.serving.models import OpenModel
from components.serving.preparation import prepared_picture
from components.serving.served_model import AdaptingModel
from components.serving.service import create_app
from components.serving.store import AdaptedTasks
from metasgd.adaptation import Learner, Problem
from metasgd.checkpoint import save_checkpoint
from metasgd.seeds import generator
from metasgd.serving import AdaptedTask, ServedModel
from metasgd.tasks import Examples
from tests.components.lane import PARAMS
from tests.metasgd.small import convnet_settings, learner_settings, policy_learner, sine_learner

JSON = {"content-type": "application/json"}
LIMITS = Limits()
SIDE = 28  # of the glyphs


def tasks_of(experiment: str) -> TaskSettings:
    return load_experiment(experiment, path=PARAMS).tasks


def opened(learner: Learner, experiment: str) -> OpenModel:
    served = ServedModel(learner, learner.initial(generator(1, "theta")))
    return OpenModel("tiny", "3", "meta-sgd", 1, tasks_of(experiment), served)


def pictures_model(head: str = "per-class", **changes: Any) -> OpenModel:
    """Of three classes."""
    problem = Problem("classification", (1, SIDE, SIDE), 3)
    settings = learner_settings(**({"start": (0.5, 0.5)} | changes))
    return opened(Learner.build(problem, convnet_settings(head=head), settings), "glyphs-5way-1shot")


def curves_model() -> OpenModel:
    return opened(sine_learner(), "sinusoid-5shot")


def policy_model() -> OpenModel:
    return opened(policy_learner(), "navigation-short")


@dataclass(frozen=True)
class Client:
    """Of a real server on loopback."""

    address: str
    session: requests.Session

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.address + path, timeout=60)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.address + path, timeout=60)

    def post(self, path: str, body: Any, headers: Any = JSON) -> requests.Response:
        """body: JSON, or bytes as they are."""
        data = json.dumps(body) if isinstance(body, dict | list) else body
        return self.session.post(self.address + path, data=data, headers=headers, timeout=60)

    def ok(self, path: str, body: Any) -> Any:
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def elsewhere(client: Client, path: str, body: Any) -> Any:
    """The answer on a connection of its own."""
    with requests.Session() as session:
        return Client(client.address, session).ok(path, body)


@contextmanager
def serving(model: OpenModel, limits: Limits = LIMITS, **options: Any) -> Iterator[Client]:
    app = create_app(model, limits, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, ws="none"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with requests.Session() as session:
            yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}", session)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(pictures_model()) as found:
        yield found


@pytest.fixture(scope="module")
def curves() -> Iterator[Client]:
    with serving(curves_model()) as found:
        yield found


@pytest.fixture(scope="module")
def policy() -> Iterator[Client]:
    with serving(policy_model()) as found:
        yield found


def values(count: int, seed: int = 1) -> list[Any]:
    """Pictures as the network sees them, [count, 1, 28, 28]."""
    found: list[Any] = torch.rand((count, 1, SIDE, SIDE), generator=generator(seed, "pictures")).tolist()
    return found


def support_of(names: list[str], seed: int = 1) -> list[dict[str, Any]]:
    """Two examples of each class."""
    twice = [*names, *names]
    return [{"class": name, "values": one} for name, one in zip(twice, values(len(twice), seed), strict=True)]


def queries_of(count: int, seed: int = 2) -> list[dict[str, Any]]:
    return [{"values": one} for one in values(count, seed)]


def png(size: int = 40, seed: int = 1, mode: str = "L") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def encoded(contents: bytes) -> str:
    return base64.b64encode(contents).decode()


ABC = ["b", "a", "c"]


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


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pictures_are_prepared_as_those_of_training(client: Client, mode: str) -> None:
    """Resized, grey, and inverted where the model's were; beside values in one task."""
    contents = png(mode=mode)
    prepared = prepared_picture(contents, "a picture", tasks_of("glyphs-5way-1shot")).tolist()
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


NOTHING: dict[str, Any] = {"observations": [], "actions": [], "rewards": [], "alive": []}


def drawn(trajectories: int = 4, time: int = 5) -> dict[str, Any]:
    noise, size = generator(2, "trajectories"), (trajectories, time)
    return {
        "observations": torch.rand((*size, 2), generator=noise).tolist(),
        "actions": torch.randn((*size, 2), generator=noise).tolist(),
        "rewards": torch.rand(size, generator=noise).tolist(),
        "alive": torch.ones(size, dtype=torch.bool).tolist(),
    }


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


def glyph(**changes: Any) -> dict[str, Any]:
    """One of three examples in a support set."""
    return {"support": [*support_of(["a", "b"])[:2], {"class": "c", "values": values(1)[0]} | changes]}


def with_values(change: Callable[[Any], Any]) -> dict[str, Any]:
    return glyph(values=change(values(1)[0]))


def with_number(text: str) -> bytes:
    """The support set as bytes, with this in the place of a number."""
    found = values(1)[0]
    found[0][0][0] = "HERE"
    return json.dumps(glyph(values=found)).replace('"HERE"', text).encode()


def with_picture(text: Any) -> dict[str, Any]:
    return {"support": [*support_of(["a", "b"]), {"class": "c", "picture": text}]}


def asked(**changes: Any) -> dict[str, Any]:
    return {"tasks": [{"support": support_of(ABC), "queries": queries_of(1)} | changes]}


MANY = 1_000_000
BOMB = base64.b64encode(png(8).replace(b"\0\0\0\x08\0\0\0\x08", b"\0\0\x7f\xff\0\0\x7f\xff")).decode()
VALUES, SUPPORT = "support.2.values", "support.2"
WRONG: dict[str, tuple[str, Any, int, str]] = {
    "no json": ("/adapt", b"support=1", 400, "no JSON: Expecting value at character 0"),
    "cut off": ("/adapt", b'{"support": [', 400, "no JSON: Expecting value"),
    "no utf-8": ("/adapt", b'{"support": "\xff"}', 400, "error parsing the body"),
    "too deep": ("/adapt", b"[" * 100_000, 400, "error parsing the body"),
    "too many digits": ("/adapt", with_number("9" * 5000), 400, "error parsing the body"),
    "nothing": ("/adapt", b"", 422, "the body: Field required"),
    "a list": ("/adapt", [1], 422, "the body: Input should be a valid dictionary"),
    "null": ("/adapt", b"null", 422, "the body: "),
    "a number": ("/adapt", b"7", 422, "the body: Input should be"),
    "NaN": ("/adapt", with_number("NaN"), 422, f"{VALUES} holds what is no finite number"),
    "Infinity": ("/adapt", with_number("-Infinity"), 422, f"{VALUES} holds what is no finite number"),
    "beyond floats": ("/adapt", with_number("1e999"), 422, f"{VALUES} holds what is no finite number"),
    "beyond float32": ("/adapt", with_number("1e39"), 422, f"{VALUES} holds what is no finite number"),
    "many digits": ("/adapt", with_number("9" * 400), 422, f"{VALUES} holds what is no finite number"),
    "true": ("/adapt", with_number("true"), 422, f"{VALUES} holds what is no finite number"),
    "text": ("/adapt", with_number('"0.5"'), 422, f"{VALUES} holds what is no finite number"),
    "null inside": ("/adapt", with_number("null"), 422, f"{VALUES} holds what is no finite number"),
    "a list inside": ("/adapt", with_number("[]"), 422, f"{VALUES} holds what is no finite number"),
    "steps NaN": ("/adapt", b'{"support": [], "steps": NaN}', 422, "steps: Input should be a valid integer"),
    "above 1": ("/adapt", with_number("255"), 422, "support pictures go from 0.* to 255; expected"),
    "below 0": ("/adapt", with_number("-0.1"), 422, "support pictures go from -0.1 to .*; expected"),
    "no channel": ("/adapt", with_values(lambda x: x[0]), 422, f"{VALUES} has length 28; expected 1, of"),
    "ragged": ("/adapt", with_values(lambda x: [[x[0][0][:5], *x[0][1:]]]), 422, f"{VALUES}.0.0 has len"),
    "flat": ("/adapt", with_values(lambda x: [1]), 422, f"{VALUES}.0 is no list; expected 28"),
    "no list": ("/adapt", with_values(lambda x: 0.5), 422, f"{VALUES}: Input should be a valid list"),
    "an object": ("/adapt", with_values(lambda x: {"0": x}), 422, f"{VALUES}: Input should be a valid list"),
    "no example": ("/adapt", {"support": []}, 422, "support holds no examples; expected 1 or more"),
    "one class": ("/adapt", {"support": support_of(["a"])}, 422, "1 classes; expected 2 to 3"),
    "more classes": ("/adapt", {"support": support_of([*ABC, "d"])}, 422, "4 classes; expected 2 to 3"),
    "no support": ("/adapt", {}, 422, "support: Field required"),
    "another key": ("/adapt", {**glyph(), "temperature": 1}, 422, "'temperature' is unknown; expected some"),
    "a long key": ("/adapt", {**glyph(), "x" * 10**6: 1}, 422, "the body: 'x{60}' is unknown; expected some"),
    "lines in a key": ("/adapt", {**glyph(), "a\n\r": 1}, 422, "the body: 'a.+n.+r' is unknown"),
    "odd key": ("/adapt", {**glyph(), "a\n\ud800": 1}, 422, "the body: 'a.+ud800' is unknown"),
    "another label": ("/adapt", glyph(label=1), 422, f"{SUPPORT}: 'label' is unknown; expected"),
    "class_": ("/adapt", glyph(class_="c"), 422, f"{SUPPORT}: 'class_' is unknown"),
    "no class": ("/adapt", {"support": queries_of(2)}, 422, "support.0.class: Field required"),
    "class number": ("/adapt", glyph(**{"class": 3}), 422, f"{SUPPORT}.class: .*valid string"),
    "empty class": ("/adapt", glyph(**{"class": ""}), 422, f"{SUPPORT}.class: .*at least 1 character"),
    "long class": ("/adapt", glyph(**{"class": "x" * 201}), 422, f"{SUPPORT}.class: .*at most 200"),
    "no text": ("/adapt", glyph(**{"class": "\ud800"}), 422, f"{SUPPORT}.class: .*unicode"),
    "both": ("/adapt", glyph(picture="AA=="), 422, f"{SUPPORT}: expected either picture or values"),
    "neither": ("/adapt", glyph(values=None), 422, f"{SUPPORT}: expected either picture or values"),
    "points": ("/adapt", {"support": {"x": [], "y": []}}, 422, "of kind images; expected a list of {class"),
    "support text": ("/adapt", {"support": "a"}, 422, "support: Input should be a list of examples"),
    "no base64": ("/adapt", with_picture("§$%"), 422, f"{SUPPORT[:-1]}4.picture is no base64; expected"),
    "data address": ("/adapt", with_picture("data:image/png;base64,AA=="), 422, "picture is no base64"),
    "lines": ("/adapt", with_picture("AAAA\nAAAA"), 422, "picture is no base64"),
    "empty picture": ("/adapt", with_picture(""), 422, r"support.4.picture \(0 bytes\) cannot be decoded"),
    "no picture": ("/adapt", with_picture(encoded(b"text")), 422, "cannot be decoded; expected PNG or JPEG"),
    "half": ("/adapt", with_picture(encoded(png()[:300])), 422, "cannot be decoded; expected PNG or JPEG"),
    "gif": ("/adapt", with_picture(encoded(b"GIF89a" + bytes(50))), 422, "cannot be decoded"),
    "bomb": ("/adapt", with_picture(BOMB), 422, "support.4.picture .*expected"),
    "picture number": ("/adapt", with_picture(5), 422, "support.4.picture: Input should be a valid string"),
    "steps below": ("/adapt", {**glyph(), "steps": -1}, 422, "steps: .*greater than or equal to 0"),
    "steps above": ("/adapt", {**glyph(), "steps": 101}, 422, "steps: .*less than or equal to 100"),
    "steps text": ("/adapt", {**glyph(), "steps": "1"}, 422, "steps: Input should be a valid integer"),
    "steps half": ("/adapt", {**glyph(), "steps": 0.5}, 422, "steps: Input should be a valid integer"),
    "steps true": ("/adapt", {**glyph(), "steps": True}, 422, "steps: Input should be a valid integer"),
    "many unknown": ("/adapt", {f"{n}": 1 for n in range(MANY // 10)}, 422, "the body: '0' is unknown"),
    "many empty": ("/adapt", {"support": [{}] * MANY}, 422, "support.0.class: Field required"),
    "many examples": ("/adapt", {"support": [{"class": "a", "picture": ""}] * 1001}, 422, "support: 1001 in"),
    "unknown id": ("/predict/abc", {"queries": queries_of(1)}, 404, "no adapted task has this id"),
    "odd id": ("/predict/%00%ff", {"queries": queries_of(1)}, 404, "no adapted task has this id"),
    "queries missing": ("/predict/abc", {}, 422, "queries: Field required"),
    "no task": ("/predict", {"tasks": []}, 422, "tasks: .*at least 1 item"),
    "many tasks": ("/predict", {"tasks": [{"support": [], "queries": []}] * 101}, 422, "tasks: 101 in one"),
    "many in all": ("/predict", {"tasks": [{"support": [{"class": "a", "picture": ""}] * 11,
                                            "queries": []}] * 100}, 422, "support: 1100 in one"),
    "many queries": ("/predict", {"tasks": [{"support": [], "queries": [{"picture": ""}] * 1001}]}, 422,
                     "queries: 1001 in one"),
    "no query": ("/predict", asked(queries=[]), 422, "tasks.0.queries holds no examples"),
    "query class": ("/predict", asked(queries=support_of(["a"])), 422, "queries.0: 'class' is unknown"),
    "query shape": ("/predict", asked(queries=[{"values": [[]]}]), 422, "tasks.0.queries.0.values.0 has len"),
    "query above": ("/predict", asked(queries=[{"values": [[[9] * SIDE] * SIDE]}]), 422, "query pictures go"),
    "query points": ("/predict", asked(queries={"x": [[1]]}), 422, "tasks.0.queries: the model's tasks are"),
    "task number": ("/predict", {"tasks": [7]}, 422, "tasks.0: Input should be a valid dictionary"),
    "probabilities": ("/predict", {**asked(), "probabilities": 1}, 422, "probabilities: .*valid boolean"),
    "another path": ("/train", {}, 404, "Not Found"),
    "a slash more": ("/adapt/", {}, 404, "Not Found"),
    "another method": ("/models", {}, 405, "Method Not Allowed"),
}  # fmt: skip


def require_line(answer: requests.Response, status: int, message: str) -> None:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}
    line = answer.json()["detail"]
    assert re.search(message, line), line
    assert len(line.splitlines()) == 1
    assert len(line) <= 300
    assert not re.search("NaN|Traceback", answer.text)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_gets_one_line(client: Client, wrong: str) -> None:
    path, body, status, message = WRONG[wrong]
    require_line(client.post(path, body), status, message)


@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_another_content_type_is_refused(client: Client, given: str) -> None:
    """So a page of another site, which can send these, changes nothing."""
    body = json.dumps(glyph()).encode()
    require_line(client.post("/adapt", body, {"content-type": given}), 415, "expected application/json")


WRONG_POINTS: dict[str, tuple[Any, Any, str]] = {
    "lengths": ([[1], [2]], [[1]], "support.y has length 1; expected 2, of the shape .2, 1."),
    "flat": ([1, 2], [[1], [2]], "support.x.0 is no list; expected 1"),
    "empty": ([], [], "support holds no examples; expected 1 or more"),
    "wide": ([[1, 2]], [[1]], "support.x.0 has length 2; expected 1"),
    "text": ([["1"]], [[1]], "support.x holds what is no finite number"),
    "far": ([[1.0]], [[3e38]], "adaptation diverged on these examples; expected"),
    "no list": (7, [[1]], "support.x: Input should be a valid list"),
}


@pytest.mark.parametrize("wrong", WRONG_POINTS)
def test_wrong_points_get_one_line(curves: Client, wrong: str) -> None:
    x, y, message = WRONG_POINTS[wrong]
    require_line(curves.post("/adapt", {"support": {"x": x, "y": y}}), 422, message)


def test_examples_of_another_kind_get_one_line(curves: Client, policy: Client) -> None:
    support = support_of(["a", "b"])
    require_line(curves.post("/adapt", {"support": support}), 422, "of kind sinusoid; expected {x, y}")
    require_line(policy.post("/adapt", {"support": support}), 422, "of kind control; expected {observations")


def test_outputs_that_are_no_numbers_are_no_answer(curves: Client) -> None:
    """Where the parameters still are."""
    adapted = curves.ok("/adapt", {"support": {"x": [[1]], "y": [[1]]}})
    answer = curves.post(f"/predict/{adapted['id']}", {"queries": {"x": [[3e38]]}})
    require_line(answer, 422, "adaptation diverged")


WRONG_TRAJECTORIES: dict[str, tuple[dict[str, Any], str]] = {
    "none": (NOTHING, "support holds no time steps; expected trajectories, or steps 0"),
    "no time": ({name: [[]] for name in NOTHING}, "support holds no time steps"),
    "all ended": ({**drawn(1, 2), "alive": [[False, False]]}, "support holds no time steps"),
    "lengths": (
        {**drawn(2), "rewards": drawn(1)["rewards"]},
        "support.observations has length 2; expected 1",
    ),
    "alive": ({**drawn(1, 2), "alive": [[1, 1]]}, "support.alive holds what is not true or false"),
    "reward": ({**drawn(1, 2), "rewards": [[None, 1]]}, "support.rewards holds what is no finite number"),
    "huge": ({**drawn(1, 2), "rewards": [[3e38, 3e38]]}, "adaptation diverged"),
    "rewards flat": ({**drawn(1, 2), "rewards": [1]}, "support.rewards.0 is no list; expected 1"),
    "missing": ({"observations": []}, "support.actions: Field required"),
}


@pytest.mark.parametrize("wrong", WRONG_TRAJECTORIES)
def test_wrong_trajectories_get_one_line(policy: Client, wrong: str) -> None:
    support, message = WRONG_TRAJECTORIES[wrong]
    require_line(policy.post("/adapt", {"support": support}), 422, message)


def test_a_body_that_is_too_long(tmp_path: Path) -> None:
    """Whether its length is told or it streams, the client hears why, and the service goes on."""
    with serving(pictures_model(), Limits(body=100_000)) as client:
        long = b" " * 3_000_000
        require_line(client.post("/adapt", long), 413, "too long; expected 100,000 bytes at most")
        chunks = (long[:65536] for _ in range(40))
        require_line(client.post("/adapt", chunks), 413, "too long; expected 100,000 bytes at most")
        assert client.get("/health").ok


CUT_OFF = b"POST /adapt HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"


def test_a_body_that_never_comes() -> None:
    with serving(pictures_model(), Limits(patience=0.05)) as client:
        host, port = client.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(CUT_OFF)
            assert connection.recv(65536).startswith(b"HTTP/1.1 408")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(CUT_OFF)  # and goes away
        assert client.get("/health").ok


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


class Broken(ServedModel):
    def adapt(self, support: Examples, steps: int | None = None) -> AdaptedTask:
        raise RuntimeError("secret")


def test_a_mistake_of_ours_shows_no_traceback() -> None:
    model = curves_model()
    with serving(replace(model, served=Broken(model.served.learner, model.served.meta))) as client:
        answer = client.post("/adapt", {"support": {"x": [[1]], "y": [[1]]}})
        require_line(answer, 500, "the service failed at this request; its log says how")


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


def served_checkpoint(folder: Path) -> Path:
    model = pictures_model()
    about = {
        "training": {"algorithm": "meta-sgd", "seed": 1, "train": {}},
        "tasks": to_document(model.tasks),
    }
    save_checkpoint(folder, model.served.learner, model.served.meta, about)
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "components.serving.serve", *arguments]


def test_the_command_serves_until_a_signal(tmp_path: Path) -> None:
    """It says where; another on its port ends with one line; SIGTERM, like Ctrl-C, is no error."""
    folder = served_checkpoint(tmp_path / "checkpoint")
    with subprocess.Popen(
        command(str(folder), "--port", "0"), cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"checkpoint: (http://127\.0\.0\.1:(\d+)), described at \1/docs;", said)
        assert found, said
        with requests.Session() as session:
            client = Client(found[1], session)
            assert client.get("/health").json() == {"status": "ok"}
            assert client.ok("/adapt", {"support": support_of(ABC)})["classes"] == ["a", "b", "c"]
            second = subprocess.run(
                command(str(folder), "--port", found[2]),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (second.returncode, second.stdout) == (2, "")
            assert (
                second.stderr
                == f"error: --port {found[2]} on 127.0.0.1: Address already in use; expected a free port\n"
            )
            process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "ended\n", "")


WRONG_COMMANDS = {
    "port": (["x", "--port", "65536"], "--port is 65536; expected 0 to 65535"),
    "tasks": (["x", "--most-tasks", "0"], "--most-tasks is 0; expected 1 or more"),
    "megabytes": (["x", "--most-megabytes", "0"], "--most-megabytes is 0; expected 1 or more"),
    "minutes": (["x", "--minutes", "-1"], "--minutes is -1; expected 1 to 525600"),
    "host": (
        ["x", "--host", "no.such.host.invalid"],
        "--host is 'no.such.host.invalid'; expected an address",
    ),
    "elsewhere": (["x", "--host", "192.0.2.1"], "--port 8080 on 192.0.2.1: Cannot assign requested address"),
}


@pytest.mark.parametrize("wrong", WRONG_COMMANDS)
def test_a_wrong_command_ends_with_one_line(wrong: str) -> None:
    arguments, message = WRONG_COMMANDS[wrong]
    finished = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: {message}")
    assert finished.stderr.count("\n") == 1
