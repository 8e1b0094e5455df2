"""The HTTP service of a model: adapt once and predict often, or both in one request.

    uvicorn.run(create_app(model, Limits()))

Requests and responses are JSON (components.serving.payloads); what is wrong with a request is answered with a
status of 4xx and {"detail": "one line"}. Nothing that a page loads comes from elsewhere.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse

from components.serving.answers import adapted, answer
from components.serving.bodies import Bodies, Limits
from components.serving.description import page
from components.serving.models import OpenModel
from components.serving.payloads import (
    AdaptRequest,
    AdaptResponse,
    Answer,
    Health,
    ModelResponse,
    Places,
    Points,
    PredictRequest,
    Problem,
    Queries,
    Support,
    TasksRequest,
    TasksResponse,
)
from components.serving.refusals import excuse, refuse_input, refuse_payload
from components.serving.store import AdaptedTasks
from metasgd.errors import InputError


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
    app.add_exception_handler(InputError, refuse_input)
    app.add_exception_handler(RequestValidationError, refuse_payload)
    app.add_exception_handler(Exception, excuse)
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
    async def description() -> HTMLResponse:
        return page(app)

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
        task, classes = adapted(self.model, body.support, body.steps, "support")
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
        return answer(self.model, kept.task, kept.classes, body.queries, body.probabilities, "queries")

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
            task, classes = adapted(self.model, asked.support, asked.steps, f"tasks.{number}.support")
            where = f"tasks.{number}.queries"
            answers.append(answer(self.model, task, classes, asked.queries, body.probabilities, where))
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
            any_ways=learner.any_ways if classifier else None,
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
