"""The HTTP service of a model: adapt once and predict often, or both in one request.

    uvicorn.run(create_app(model, Limits()))

Requests and responses are JSON (components.serving.payloads); what is wrong with a request is answered with a
status of 4xx and {"detail": "one line"}. Nothing that a page loads comes from elsewhere.
"""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jinja2
import torch
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from torch import Tensor

from components.serving.models import OpenModel
from components.serving.names import legible
from components.serving.payloads import (
    KEY,
    TAGS,
    ActionsResponse,
    AdaptRequest,
    AdaptResponse,
    Answer,
    ClassesResponse,
    Drawn,
    Health,
    ModelResponse,
    Observations,
    Places,
    Points,
    Prediction,
    PredictRequest,
    Problem,
    Queries,
    Query,
    Support,
    TasksRequest,
    TasksResponse,
    ValuesResponse,
    numbers,
    truths,
)
from components.serving.preparation import prepared_picture
from components.serving.store import AdaptedTasks
from metasgd.adaptation import Adapted
from metasgd.errors import InputError
from metasgd.policy_adaptation import adapt, unadapted
from metasgd.rollouts import Trajectories
from metasgd.serving import AdaptedTask
from metasgd.tasks import Examples

LINE = 300  # characters of a message, at most
# By the model's objective, what it is adapted on and asked for.
SUPPORT = {
    "classification": (list, "a list of {class, picture or values}"),
    "regression": (Points, "{x, y}"),
    "control": (Drawn, "{observations, actions, rewards, alive}"),
}
QUERIES = {
    "classification": (list, "a list of {picture or values}"),
    "regression": (Places, "{x}"),
    "control": (Observations, "{observations}"),
}


@dataclass(frozen=True)
class Limits:
    """most_tasks, most_bytes, seconds: of the adapted tasks that are kept.

    body: bytes of a request. support, queries: examples in a request, of all its tasks together.
    tasks: in a request. requests: that are in memory at once, while others wait unread; JSON may take twenty
        times its length there. threads: that compute.
    patience: seconds until a request must have arrived, once its turn has come.
    """

    most_tasks: int = 256
    most_bytes: int = 512_000_000
    seconds: float = 3600
    body: int = 32_000_000
    support: int = 1000
    queries: int = 1000
    tasks: int = 100
    requests: int = 4
    threads: int = 2
    patience: float = 60


def create_app(model: OpenModel, limits: Limits, clock: Callable[[], float] = time.time) -> FastAPI:
    """clock: seconds since 1970, by which adapted tasks expire."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Requests beyond these wait without a thread, and /health needs none.
        current_default_thread_limiter().total_tokens = limits.threads
        yield

    app = FastAPI(
        title=f"{model.name} version {model.version}" if model.version else model.name,
        description="Few-shot learning: adapt to a few labelled examples, then predict others.",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(Bodies, limits=limits)
    app.add_exception_handler(InputError, _refuse_input)
    app.add_exception_handler(RequestValidationError, _refuse_payload)
    app.add_exception_handler(Exception, _excuse)
    service = Service(
        model, limits, AdaptedTasks(limits.most_tasks, limits.most_bytes, limits.seconds, clock)
    )
    wrong, unknown = _problems(400, 408, 413, 415, 422), _problems(404, 422)
    app.post("/adapt", responses=wrong, response_model_exclude_none=True)(service.adapt)
    app.delete("/adapt/{id}", responses=unknown, status_code=204)(service.forget)
    app.post("/predict", responses=wrong, response_model_exclude_none=True)(service.predict_tasks)
    app.post("/predict/{id}", responses=wrong | unknown, response_model_exclude_none=True)(service.predict)
    app.get("/models")(service.models)
    app.get("/health")(health)

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return _page(app)

    return app


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: these are answered with one line."""
    return {status: {"model": Problem} for status in statuses}


async def health() -> Health:
    """Whether the service is up, also while it computes."""
    return Health()


@dataclass(frozen=True)
class Service:
    """The endpoints. FastAPI runs those without `async` in threads, so that others are answered meanwhile."""

    model: OpenModel
    limits: Limits
    kept: AdaptedTasks

    def adapt(self, body: AdaptRequest) -> AdaptResponse:
        """Adapt to labelled examples once, and keep what comes of it for a while, for queries by its id."""
        self._require_few("support", _count(body.support), self.limits.support)
        task, classes = _adapted(self.model, body.support, body.steps, "support")
        identity, kept = self.kept.add(task, classes)
        return AdaptResponse(
            id=identity,
            expires=datetime.fromtimestamp(kept.expires, UTC),
            classes=list(classes) or None,
            bytes=kept.bytes,
        )

    def predict(self, id: str, body: PredictRequest) -> Answer:
        """Predict queries of an adapted task, each for itself: other queries change nothing."""
        kept = self.kept.find(id)
        if kept is None:
            raise _unknown()
        self._require_few("queries", _count(body.queries), self.limits.queries)
        return _answer(self.model, kept.task, kept.classes, body.queries, body.probabilities, "queries")

    async def forget(self, id: str) -> None:
        """Drop an adapted task before it expires."""
        if not self.kept.remove(id):
            raise _unknown()

    def predict_tasks(self, body: TasksRequest) -> TasksResponse:
        """Adapt to tasks and predict their queries at once; nothing is kept."""
        self._require_few("tasks", len(body.tasks), self.limits.tasks)
        self._require_few("support", sum(_count(task.support) for task in body.tasks), self.limits.support)
        self._require_few("queries", sum(_count(task.queries) for task in body.tasks), self.limits.queries)
        answers = []
        for number, asked in enumerate(body.tasks):
            task, classes = _adapted(self.model, asked.support, asked.steps, f"tasks.{number}.support")
            where = f"tasks.{number}.queries"
            answers.append(_answer(self.model, task, classes, asked.queries, body.probabilities, where))
        return TasksResponse(tasks=answers)

    async def models(self) -> ModelResponse:
        """The model that is served, and what it takes."""
        learner = self.model.served.learner
        classifier = learner.problem.objective == "classification"
        return ModelResponse(
            name=self.model.name,
            version=self.model.version,
            algorithm=self.model.algorithm,
            seed=self.model.seed,
            kind=self.model.tasks.kind,
            objective=learner.problem.objective,
            input_shape=list(learner.problem.input_shape),
            outputs=learner.problem.outputs,
            trained_ways=learner.problem.outputs if classifier else None,
            any_ways=learner.network.shares_head if classifier else None,
            steps=learner.settings.test_steps,
        )

    def _require_few(self, name: str, count: int, most: int) -> None:
        if count > most:
            raise InputError(f"{name}: {count} in one request; expected {most} at most")


def _unknown() -> HTTPException:
    return HTTPException(404, "no adapted task has this id; expected one of POST /adapt that has not expired")


def _count(given: Support | Queries) -> int:
    """Of examples, or of trajectories."""
    if isinstance(given, list):
        return len(given)
    return len(given.x if isinstance(given, Points | Places) else given.observations)


def _adapted(
    model: OpenModel, support: Support, steps: int | None, where: str
) -> tuple[AdaptedTask, tuple[str, ...]]:
    """The task, and the names of its classes. where: the support's place in the request, for messages."""
    _require_taken(model, support, SUPPORT, where)
    problem = model.served.learner.problem
    classes: tuple[str, ...] = ()
    if isinstance(support, Drawn):
        task = _adapted_policy(model, support, steps, where)
    elif isinstance(support, Points):
        x = numbers(support.x, (len(support.x), *problem.input_shape), f"{where}.x")
        y = numbers(support.y, (len(support.x), problem.outputs), f"{where}.y")
        task = model.served.adapt(Examples(x, y), steps)
    else:
        classes = tuple(sorted({example.class_ for example in support}))
        x = _examples(model, support, where)
        y = torch.tensor([classes.index(example.class_) for example in support])
        task = model.served.adapt(Examples(x, y), steps)
    _require_finite(*task.adapted.theta.values(), *task.adapted.context.values())
    return task, classes


@torch.no_grad()
def _adapted_policy(model: OpenModel, support: Drawn, steps: int | None, where: str) -> AdaptedTask:
    learner, meta = model.served.learner.served, model.served.meta
    steps = learner.settings.test_steps if steps is None else steps
    policies, drawn = unadapted(meta, 1), _trajectories(model, support, where)
    if steps and not drawn.alive.any():
        raise InputError(f"{where} holds no time steps; expected trajectories, or steps 0")
    for _ in range(steps):
        policies = adapt(learner, policies, meta.alpha, drawn)
    theta = {name: value[0].clone() for name, value in policies.theta.items()}
    return AdaptedTask(learner, Adapted(theta, {}))


def _trajectories(model: OpenModel, support: Drawn, where: str) -> Trajectories:
    """Those of one task, [1, trajectories, time, ...]."""
    problem = model.served.learner.problem
    first = support.rewards[0] if support.rewards else []
    size = (len(support.rewards), len(first) if isinstance(first, list) else 1)
    rewards = numbers(support.rewards, size, f"{where}.rewards")
    seen = numbers(support.observations, (*size, *problem.input_shape), f"{where}.observations")
    actions = numbers(support.actions, (*size, problem.outputs), f"{where}.actions")
    alive = truths(support.alive, size, f"{where}.alive")
    return Trajectories(*(part.unsqueeze(0) for part in (seen, actions, rewards, alive)))


def _answer(
    model: OpenModel,
    task: AdaptedTask,
    classes: Sequence[str],
    queries: Queries,
    probabilities: bool,
    where: str,
) -> Answer:
    """where: the queries' place in the request, for messages."""
    _require_taken(model, queries, QUERIES, where)
    shape = model.served.learner.problem.input_shape
    if isinstance(queries, list):
        return _classified(task.predict(_examples(model, queries, where)), classes, probabilities)
    if isinstance(queries, Places):
        values = task.predict(numbers(queries.x, (len(queries.x), *shape), f"{where}.x"))
        _require_finite(values)
        return ValuesResponse(values=values.tolist())
    seen = numbers(queries.observations, (len(queries.observations), *shape), f"{where}.observations")
    actions = _actions(model, task.predict(seen), queries.sampling_seed)
    _require_finite(actions)
    return ActionsResponse(actions=actions.tolist())


def _classified(logits: Tensor, classes: Sequence[str], probabilities: bool) -> ClassesResponse:
    _require_finite(logits)
    found = logits.softmax(dim=-1)
    best = zip(found.argmax(dim=-1).tolist(), found.amax(dim=-1).tolist(), found.tolist(), strict=True)
    predictions = [
        Prediction(
            class_=classes[number], probability=probability, probabilities=every if probabilities else None
        )
        for number, probability, every in best
    ]
    return ClassesResponse(classes=list(classes), predictions=predictions)


def _actions(model: OpenModel, outputs: Tensor, seed: int | None) -> Tensor:
    """[queries, actions]: means, clipped as the environment clips them, or draws, which it clips itself."""
    mean, log_std = outputs.chunk(2, dim=-1)
    if seed is not None:
        return mean + log_std.exp() * torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    clip = getattr(model.tasks.distribution, "clip", None)
    return mean if clip is None else mean.clamp(-clip, clip)


def _examples(model: OpenModel, given: Sequence[Query], where: str) -> Tensor:
    """[examples, *input_shape]"""
    if not given:
        raise InputError(f"{where} holds no examples; expected 1 or more")
    return torch.stack([_example(model, one, f"{where}.{number}") for number, one in enumerate(given)])


def _example(model: OpenModel, given: Query, where: str) -> Tensor:
    if given.values is not None:
        return numbers(given.values, model.served.learner.problem.input_shape, f"{where}.values")
    try:
        contents = base64.b64decode(given.picture or "", validate=True)
    except ValueError:
        raise InputError(
            f"{where}.picture is no base64; expected that of a PNG or JPEG file, in one line"
        ) from None
    return prepared_picture(contents, f"{where}.picture", model.tasks)


def _require_taken(
    model: OpenModel, given: object, taken: Mapping[str, tuple[type, str]], where: str
) -> None:
    expected, shown = taken[model.served.learner.problem.objective]
    if not isinstance(given, expected):
        raise InputError(f"{where}: the model's tasks are of kind {model.tasks.kind}; expected {shown}")


def _require_finite(*found: Tensor) -> None:
    if not all(value.isfinite().all() for value in found):
        raise InputError(
            "adaptation diverged on these examples; expected examples more like those of its training"
        )


class Bodies:
    """Between server and app: reads a POST request whole, within the limits, before it is looked at."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits, self.turn = app, limits, asyncio.Semaphore(limits.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        async with self.turn:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.limits.patience):
                body = await self._body(receive)
        except ClientDisconnect:  # there is nobody to answer
            return
        except TimeoutError:
            late = f"the body took longer than {self.limits.patience:g} seconds; expected it sooner"
            await _problem(408, late)(scope, receive, send)
            return
        given = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        if body is None:
            most = f"the body is too long; expected {self.limits.body:,} bytes at most"
            await _problem(413, most)(scope, receive, send)
        elif given != "application/json":
            # A page of another site can send other types without asking, but not this one.
            wrong = f"content-type is {given[:KEY]!r}; expected application/json"
            await _problem(415, wrong)(scope, receive, send)
        else:
            await self.app(scope, _again(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """None for one that is too long: the rest is passed over, as clients listen only after sending."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= self.limits.body:
                parts.append(part)
            else:
                parts.clear()
        return b"".join(parts) if size <= self.limits.body else None


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives this body, and then what else there is: that the client has gone."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


def _problem(status: int, line: str) -> JSONResponse:
    return JSONResponse({"detail": legible(line)[:LINE]}, status)


async def _refuse_input(_: Request, error: Exception) -> JSONResponse:
    return _problem(422, str(error))


async def _refuse_payload(_: Request, error: Exception) -> JSONResponse:
    """The first of FastAPI's errors, without the value, which could be anything."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as it is registered
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _problem(400, f"the body is no JSON: {first['ctx']['error']} at character {first['loc'][-1]}")
    where = ".".join(str(part)[:KEY] for part in first["loc"][1:] if part not in TAGS) or "the body"
    return _problem(422, f"{where}: {first['msg'].removeprefix('Value error, ')}")


async def _excuse(_: Request, error: Exception) -> JSONResponse:
    """A mistake of this program: its traceback goes to the server's log."""
    return _problem(500, "the service failed at this request; its log says how")


def _page(app: FastAPI) -> HTMLResponse:
    """What /openapi.json says, to read; without scripts, so that it works offline."""
    html = PAGE.render(app.openapi(), schemas=_schemas)
    return HTMLResponse(
        html, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    )


def _schemas(about: object) -> list[str]:
    """The names of the schemas that a part of an OpenAPI document refers to."""
    return re.findall(r"#/components/schemas/(\w+)", str(about))


PAGE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ info.title }}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
h2 { border-top: 1px solid #ccc; padding-top: 1rem }
pre { background: #f4f4f4; padding: 0.5rem; overflow-x: auto }
</style>
<h1>{{ info.title }}</h1>
<p>{{ info.description }} As OpenAPI: <a href="openapi.json">openapi.json</a>.</p>
{% macro links(about) %}
{% for name in schemas(about) %}{{ " or " if not loop.first }}<a href="#{{ name }}">{{ name }}</a>{% endfor %}
{% endmacro %}
{% for path, methods in paths.items() %}
{% for method, about in methods.items() %}
<h2>{{ method | upper }} {{ path }}</h2>
<p>{{ about.description }}</p>
{% if about.requestBody %}
<p>Request: {{ links(about.requestBody) }}</p>
{% endif %}
<ul>
{% for status, answer in about.responses.items() %}
<li>{{ status }} {{ answer.description }}: {{ links(answer) | trim or "nothing" }}</li>
{% endfor %}
</ul>
{% endfor %}
{% endfor %}
{% for name, about in components.schemas.items() %}
<h2 id="{{ name }}">{{ name }}</h2>
<pre>{{ about | tojson(indent=2) }}</pre>
{% endfor %}
</html>
""")
