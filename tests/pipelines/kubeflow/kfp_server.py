"""An HTTP server on loopback that answers as the API of Kubeflow Pipelines 2.17 does.

Bodies are read into the models of kfp_server_api and built from them, and a pipeline is checked as the real
server checks it. Runs and most refusals are those that a real one gave (recorded.py); uploads, lists and logs
follow its source. `Answers` says what goes wrong.
"""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api
import yaml
from google.protobuf.json_format import ParseDict, ParseError
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from tests.loopback import ANY_PORT, Quiet, running
from tests.pipelines.kubeflow.recorded import recorded, refusal

TOKEN = "the-token"
RUN_ID = "3f8a6c1e-0000-4000-8000-000000000001"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LOGIN = b"<!doctype html><title>Sign in</title>"
CRON_FIELDS = 6
LONGEST_RUN_NAME, LONGEST_DESCRIPTION, LONGEST_EXPERIMENT_NAME, LONGEST_TAG = 255, 255, 128, 63
BASE = "/apis/v2beta1"


@dataclass
class Answers:
    """What the server does, and what it was asked.

    everything: a status, with an optional body, for every request: an outage, a proxy.
    runs: answers to questions about the run, in turn, the last one for ever; a number is an error status.
    hang: answer nothing until the server stops.
    lost: as many creations are answered with 504 although what was asked for is made.
    log: of every pod; cut: it ends before the length that was announced.
    """

    everything: tuple[int, bytes, dict[str, str]] | None = None
    health: dict[str, Any] = field(default_factory=lambda: refusal("GET healthz")[1])
    runs: list[dict[str, Any] | int] = field(
        default_factory=lambda: [recorded("succeeded-after-a-retried-pod")]
    )
    log: str | None = None
    cut: bool = False
    token: str | None = TOKEN
    hang: bool = False
    without_id: bool = False
    lost: int = 0
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    experiments: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    made_runs: list[dict[str, Any]] = field(default_factory=list)
    made_schedules: list[dict[str, Any]] = field(default_factory=list)

    def bodies(self, path: str) -> list[Any]:
        """What was posted there."""
        return [body for method, asked, _, body in self.asked if method == "POST" and asked.endswith(path)]

    @property
    def asked_logs(self) -> list[str]:
        """The pods whose logs were asked for."""
        return [path.split("/")[-2] for _, path, _, _ in self.asked if path.endswith("/log")]


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


class Handler(Quiet, BaseHTTPRequestHandler):
    answers: Answers
    stopped: Event
    client = api.ApiClient()

    def do_GET(self) -> None:  # the library's name
        self._answer(None)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = self.headers["Content-Type"].startswith("application/json")
        self._answer(json.loads(content) if is_json else _file(self.headers["Content-Type"], content))

    def _answer(self, body: Any) -> None:
        path = urlsplit(self.path).path
        self.answers.asked.append((self.command, path, dict(self.headers), body))
        if self.answers.hang:
            self.stopped.wait()
            return
        if self.answers.everything:
            status, text, headers = self.answers.everything
            self._send(status, text, headers)
        elif path == f"{BASE}/healthz":
            self._say(self.answers.health)
        elif self.answers.token and self.headers.get("Authorization") != f"Bearer {self.answers.token}":
            self._refuse(401, "Unauthenticated")
        else:
            self._serve(path, body)

    def _serve(self, path: str, body: Any) -> None:
        if path.endswith("/log"):
            self._log()
        elif path == f"{BASE}/experiments":
            self._experiments(body)
        elif path == f"{BASE}/pipelines":
            self._pipelines(body)
        elif path == f"{BASE}/pipelines/upload_version":
            self._upload(body)
        elif match := re.fullmatch(rf"{BASE}/pipelines/([\w-]+)/versions", path):
            self._versions(match[1])
        elif path == f"{BASE}/runs":
            self._runs(body)
        elif path == f"{BASE}/recurringruns":
            self._schedules(body)
        elif path == f"{BASE}/runs/{RUN_ID}":
            self._run()
        elif path.startswith(f"{BASE}/runs/"):
            self._refused("GET runs/00000000-0000-0000-0000-000000000000")
        else:
            self._refuse(404, "Not Found")

    def _experiments(self, body: Any) -> None:
        known = self.answers.experiments
        if body is None:
            found = [{"experiment_id": identity, "display_name": name} for name, identity in known.items()]
            self._say({"experiments": self._filtered(found)})
        elif len(body["display_name"]) > LONGEST_EXPERIMENT_NAME:
            self._refused("POST experiments")
        else:
            known[body["display_name"]] = f"experiment-{len(known)}"
            self._say(api.V2beta1Experiment(experiment_id=known[body["display_name"]]))

    def _pipelines(self, body: Any) -> None:
        known = self.answers.pipelines
        if body is None:
            found = [{"pipeline_id": identity, "display_name": name} for name, identity in known.items()]
            self._say({"pipelines": self._filtered(found)})
            return
        known[body["name"]] = f"pipeline-{len(known)}"
        self._say(api.V2beta1Pipeline(pipeline_id=known[body["name"]], display_name=body["name"]))

    def _upload(self, body: Any) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        spec, *platform = yaml.safe_load_all(body)
        if problem({"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec):
            self._refused("POST runs")
        elif asked["pipelineid"] not in self.answers.pipelines.values():
            self._refuse(400, "pipeline not found")
        elif any(asked["name"] == known["display_name"] for known in self.answers.versions):
            self._refuse(409, "The pipeline already exists.")
        elif any(len(part) > LONGEST_TAG for tag in json.loads(asked["tags"]).items() for part in tag):
            self._refuse(400, "tags are longer than 63 characters")
        else:
            made = {
                "pipeline_version_id": f"version-{len(self.answers.versions)}",
                "display_name": asked["name"],
            }
            made |= {"pipeline_id": asked["pipelineid"], "description": asked.get("description", "")}
            self.answers.versions.append({**made, "tags": json.loads(asked["tags"])})
            self._made(made)

    def _versions(self, pipeline: str) -> None:
        found = [version for version in self.answers.versions if version["pipeline_id"] == pipeline]
        self._say({"pipeline_versions": self._filtered(found)})

    def _runs(self, body: Any) -> None:
        if body is None:
            self._say({"runs": self._listed(self.answers.made_runs)})
            return
        asked = api.V2beta1Run(**body)
        if len(asked.display_name) > LONGEST_RUN_NAME or len(asked.description or "") > LONGEST_DESCRIPTION:
            self._refused("POST runs", 1)  # though the workflow is made, and at work
        elif problem(asked.pipeline_spec):
            self._refused("POST runs")
        elif asked.experiment_id not in self.answers.experiments.values():
            self._refuse(404, "experiment not found")
        else:
            number = len(self.answers.made_runs)
            made = {"run_id": RUN_ID, "display_name": asked.display_name, "description": asked.description}
            created = datetime(2026, 11, 25, 15, tzinfo=UTC) + timedelta(minutes=number)
            made |= {"state": "PENDING", "created_at": created.isoformat()}
            made |= {"experiment_id": asked.experiment_id}
            self.answers.made_runs.append(made)
            self._made(made)

    def _schedules(self, body: Any) -> None:
        if body is None:
            self._say({"recurringRuns": self._listed(self.answers.made_schedules)})
            return
        version = body["pipeline_version_reference"]["pipeline_version_id"]
        if len(body["trigger"]["cron_schedule"]["cron"].split()) != CRON_FIELDS:
            self._refused("POST recurringruns")
        elif not any(version == known["pipeline_version_id"] for known in self.answers.versions):
            self._refuse(404, "pipeline version not found")
        else:
            made = {"recurring_run_id": RUN_ID, "description": body["description"]}
            made |= {"experiment_id": body["experiment_id"]}
            self.answers.made_schedules.append(made)
            self._made(made)

    def _run(self) -> None:
        runs = self.answers.runs
        answer = runs.pop(0) if len(runs) > 1 else runs[0]
        if isinstance(answer, int):
            self._refuse(answer, "upstream connect error")
        else:
            self._say({**answer, "run_id": RUN_ID})

    def _log(self) -> None:
        if self.answers.log is None:
            self._send(500, b'{"error_message": "Failed to read logs", "error_details": "not found"}')
        else:
            longer = {"Content-Length": str(len(self.answers.log) + 100)} if self.answers.cut else {}
            self._send(200, self.answers.log.encode(), {"Content-Type": "text/plain", **longer})

    def _listed(self, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the experiment that is asked for, in the order and number that are asked for."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        found = [one for one in made if one["experiment_id"] == query["experiment_id"]]
        newest_first = query.get("sort_by") == "created_at desc"
        return found[:: -1 if newest_first else 1][: int(query["page_size"])]

    def _filtered(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the display name that is asked for."""
        query = parse_qs(urlsplit(self.path).query)
        if "filter" not in query:
            return found
        (predicate,) = json.loads(query["filter"][0])["predicates"]
        return [one for one in found if one[predicate["key"]] == predicate["stringValue"]]

    def _made(self, made: Any) -> None:
        if self.answers.lost:
            self.answers.lost -= 1
            self._refuse(504, "upstream request timeout")
        else:
            self._say({} if self.answers.without_id else made)

    def _refused(self, request: str, number: int = 0) -> None:
        """As the real server did."""
        status, body = refusal(request, number)
        self._send(status, json.dumps(body).encode())

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": message, "code": 2, "message": message}).encode())

    def _say(self, model: Any) -> None:
        self._send(200, json.dumps(self.client.sanitize_for_serialization(model)).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _file(content_type: str, content: bytes) -> str:
    """The one file of a form."""
    form = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + content)
    (part,) = form.get_payload()
    return str(part.get_payload(decode=True).decode())


@contextmanager
def serve(answers: Answers, certificate: Path | None = None) -> Iterator[str]:
    """The server's address, while the context is open. certificate: with its key; it then speaks TLS."""
    stopped = Event()
    handler = type("Bound", (Handler,), {"answers": answers, "stopped": stopped})
    server = ThreadingHTTPServer(ANY_PORT, handler)
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with running(server):
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        finally:
            stopped.set()
