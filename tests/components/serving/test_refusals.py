"""What is wrong with a request is answered with 4xx and one line."""

import base64
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.serving.bodies import Limits
from metasgd.serving import AdaptedTask, ServedModel
from metasgd.tasks import Examples
from tests.components.serving.service_client import (
    ABC,
    NOTHING,
    SIDE,
    SUPPORT,
    VALUES,
    Client,
    asked,
    curves_model,
    drawn,
    encoded,
    pictures_model,
    png,
    queries_of,
    require_line,
    serving,
    support_of,
    values,
)


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


MANY = 1_000_000

BOMB = base64.b64encode(png(8).replace(b"\0\0\0\x08\0\0\0\x08", b"\0\0\x7f\xff\0\0\x7f\xff")).decode()

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


class Broken(ServedModel):
    def adapt(self, support: Examples, steps: int | None = None) -> AdaptedTask:
        raise RuntimeError("secret")


def test_a_mistake_of_ours_shows_no_traceback() -> None:
    model = curves_model()
    with serving(replace(model, served=Broken(model.served.learner, model.served.meta))) as client:
        answer = client.post("/adapt", {"support": {"x": [[1]], "y": [[1]]}})
        require_line(answer, 500, "the service failed at this request; its log says how")
