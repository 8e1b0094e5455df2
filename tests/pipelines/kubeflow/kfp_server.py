"""An HTTP server on loopback that answers as the API of Kubeflow Pipelines (v2beta1) does.

Bodies are read into the models of kfp_server_api and built from them; a pipeline is checked as the real
server checks it. `Answers` says what goes wrong.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import kfp_server_api as api
from google.protobuf.json_format import ParseDict, ParseError
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

TOKEN = "the-token"
RUN_ID = "3f8a6c1e-0000-4000-8000-000000000001"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LOGIN = b"<!doctype html><title>Sign in</title>"
CRON_FIELDS = 6


@dataclass
class Answers:
    """What the server does, and what it was asked.

    everything: a status, with an optional body, for every request: an outage, a proxy.
    states: of the run, one per question, the last one for ever; a number is an error status.
    hang: answer nothing until the server stops.
    """

    everything: tuple[int, bytes, dict[str, str]] | None = None
    health: dict[str, Any] = field(
        default_factory=lambda: {"multi_user": False, "pipeline_store": "database"}
    )
    states: list[str | int] = field(default_factory=lambda: ["RUNNING", "SUCCEEDED"])
    token: str | None = TOKEN
    hang: bool = False
    without_id: bool = False
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    experiments: dict[str, str] = field(default_factory=dict)

    def bodies(self, path: str) -> list[Any]:
        """What was posted there."""
        return [body for method, asked, _, body in self.asked if method == "POST" and asked.endswith(path)]


def problem(pipeline: Any) -> str | None:
    """Why the server would refuse a submitted pipeline; None where it takes it."""
    document = pipeline.get("pipeline_spec", pipeline)
    try:
        spec = ParseDict(document, PipelineSpec())
        ParseDict(pipeline.get("platform_spec", {}), PlatformSpec())
    except ParseError as error:
        return f"invalid pipeline spec: {error}"
    if spec.schema_version != "2.1.0":
        return "unsupported schema version"
    if not NAME.fullmatch(spec.pipeline_info.name) or not spec.root.dag.tasks:
        return "invalid pipeline name or empty root"
    if spec.root.input_definitions.parameters:
        return "parameters are missing"
    return None


class Handler(BaseHTTPRequestHandler):
    answers: Answers
    stopped: Event
    client = api.ApiClient()

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:  # the library's name
        self._answer(None)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self._answer(json.loads(self.rfile.read(length)))

    def _answer(self, body: Any) -> None:
        path = urlsplit(self.path).path
        self.answers.asked.append((self.command, path, dict(self.headers), body))
        if self.answers.hang:
            self.stopped.wait()
            return
        if self.answers.everything:
            status, text, headers = self.answers.everything
            self._send(status, text, headers)
        elif path == "/apis/v2beta1/healthz":
            self._say(self.answers.health)
        elif self.answers.token and self.headers.get("Authorization") != f"Bearer {self.answers.token}":
            self._refuse(401, "Unauthenticated")
        else:
            self._serve(path, body)

    def _serve(self, path: str, body: Any) -> None:
        if path == "/apis/v2beta1/experiments":
            self._experiments(body)
        elif path == "/apis/v2beta1/runs" and body is not None:
            self._create(api.V2beta1Run(**body), api.V2beta1Run(run_id=RUN_ID))
        elif path == "/apis/v2beta1/recurringruns" and body is not None:
            if len(body["trigger"]["cron_schedule"]["cron"].split()) != CRON_FIELDS:
                self._refuse(400, "Invalid input error: schedule cron is invalid")
                return
            self._create(api.V2beta1RecurringRun(**body), api.V2beta1RecurringRun(recurring_run_id=RUN_ID))
        elif path == f"/apis/v2beta1/runs/{RUN_ID}":
            self._run()
        else:
            self._refuse(404, "Not Found")

    def _experiments(self, body: Any) -> None:
        known = self.answers.experiments
        if body is not None:
            known[body["display_name"]] = f"experiment-{len(known)}"
            self._say(api.V2beta1Experiment(experiment_id=known[body["display_name"]]))
            return
        found = [api.V2beta1Experiment(experiment_id=i, display_name=name) for name, i in known.items()]
        self._say(api.V2beta1ListExperimentsResponse(experiments=found or None))

    def _create(self, asked: Any, made: Any) -> None:
        if why := problem(asked.pipeline_spec):
            self._refuse(400, why)
        elif asked.experiment_id not in self.answers.experiments.values():
            self._refuse(404, "experiment not found")
        else:
            self._say({} if self.answers.without_id else made)

    def _run(self) -> None:
        states = self.answers.states
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, int):
            self._refuse(state, "upstream connect error")
            return
        failed = state == "FAILED"
        reason = api.GoogleRpcStatus(code=2, message="out of memory") if failed else None
        tasks = [
            api.V2beta1PipelineTaskDetail(task_id="0", display_name="train-driver", state="SUCCEEDED"),
            api.V2beta1PipelineTaskDetail(task_id="1", display_name="preprocess", state="SUCCEEDED"),
            api.V2beta1PipelineTaskDetail(task_id="2", display_name="train", state=state, error=reason),
        ]
        self._say(
            api.V2beta1Run(run_id=RUN_ID, state=state, run_details=api.V2beta1RunDetails(task_details=tasks))
        )

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": message, "code": 2, "message": message}).encode())

    def _say(self, model: Any) -> None:
        self._send(200, json.dumps(self.client.sanitize_for_serialization(model)).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve(answers: Answers) -> Iterator[str]:
    """The server's address, while the context is open."""
    stopped = Event()
    handler = type("Bound", (Handler,), {"answers": answers, "stopped": stopped})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            stopped.set()
            server.shutdown()
            thread.join()
