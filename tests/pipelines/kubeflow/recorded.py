"""What a real Kubeflow answered (answers/README.md), and answers of the same shape about other pipelines."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kfp_server_api as api
import yaml

from pipelines.kubeflow.workflow import fnv1a

ANSWERS = Path(__file__).parent / "answers"
START = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00Z"  # how the server writes the end of what has not ended


def recorded(name: str) -> dict[str, Any]:
    """A recorded answer to GetRun."""
    document: dict[str, Any] = json.loads((ANSWERS / f"{name}.json").read_text())
    return document


def refusal(request: str, number: int = 0) -> tuple[int, dict[str, Any]]:
    """Status and body of the recorded refusals of such requests, in their order."""
    found = [one for one in json.loads((ANSWERS / "errors.json").read_text()) if one["request"] == request]
    return found[number]["status"], found[number]["body"]


def parsed(document: dict[str, Any]) -> Any:
    """An answer as the generated client hands it on."""
    response = type("Response", (), {"data": json.dumps(document)})
    return api.ApiClient().deserialize(response, "V2beta1Run")


def details(name: str) -> list[Any]:
    """The tasks of a recorded answer, as the generated client hands them on."""
    found: list[Any] = parsed(recorded(name)).run_details.task_details
    return found


@dataclass
class Node:
    """A node of the workflow, from its start to its end in seconds.

    failed: how it ends. omitted: it does not run, because something before it failed.
    """

    path: str
    start: int
    end: int
    failed: bool = False
    omitted: bool = False


@dataclass
class Timeline:
    """A run of a compiled pipeline, in the shape of the real answers, at any second.

    package: the compiled pipeline. failing: (task, iteration) of a training that fails.
    """

    package: Path
    failing: tuple[str, int] | None = None
    workflow: str = "metasgd-abcde"
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = next(yaml.safe_load_all(self.package.read_text()))
        self.components = spec["components"]
        tasks = self.components["comp-exit-handler-1"]["dag"]["tasks"]
        root = f"{self.workflow}(0).root(0)"
        lanes = f"{root}.exit-handler-1(0)"
        clock, ended = 30, False
        for name, task in sorted(tasks.items(), key=lambda one: _order(one[0])):
            if ended:
                self.nodes += [
                    Node(f"{lanes}.{name}{part}", clock, clock, omitted=True) for part in ("-driver", "")
                ]
            elif name.startswith("for-loop"):
                clock, ended = self._loop(f"{lanes}.{name}", task, clock)
            else:
                clock = self._step(lanes, name, clock, 20)
        self._twice(lanes.removesuffix("(0)"), 20, clock, failed=ended)
        self._twice(f"{lanes.removesuffix('(0)')}-driver", 10, 20)
        on_exit = f"{root}.exit-handler-1.onExit"
        end = self._step(f"{on_exit}(0)", "finish", clock, 20)
        self._twice(on_exit, clock, end)
        self._twice(root.removesuffix("(0)"), 10, end, failed=ended)
        self._twice(f"{self.workflow}(0).root-driver", 0, 10)
        self._twice(self.workflow, 0, end, failed=ended)
        self.failed, self.end = ended, end

    def at(self, second: int) -> dict[str, Any]:
        """GetRun's answer at this second."""
        over = second >= self.end
        state = ("FAILED" if self.failed else "SUCCEEDED") if over else "RUNNING"
        shown = [node for node in self.nodes if node.start <= second]
        return {
            "run_id": "00000000-0000-4000-8000-000000000000",
            "display_name": "metasgd",
            "created_at": _time(0),
            "state": state,
            "state_history": [{"update_time": _time(0), "state": "RUNNING"}],
            "run_details": {"task_details": [self._detail(node, second) for node in shown]},
        }

    def answers(self, every: int = 10) -> list[dict[str, Any]]:
        """What is answered to questions so many seconds apart, to the end."""
        return [self.at(second) for second in [*range(0, self.end, every), self.end]]

    def _loop(self, path: str, task: dict[str, Any], clock: int) -> tuple[int, bool]:
        """The trainings of a lane, side by side; returns when they end, and whether one of them failed."""
        (name,) = self.components[task["componentRef"]["name"]]["dag"]["tasks"]
        count = len(json.loads(task["parameterIterator"]["items"]["raw"]))
        self._twice(f"{path}(0).iteration-driver", clock, clock + 10)
        ends, failed = [], False
        for index in range(count):
            own = f"{path}(0).iteration-iterations({index}:{index})"
            fails = self.failing == (name, index)
            end = self._step(f"{own}(0).iteration-item(0)", name, clock + 10, 30 + 10 * index, failed=fails)
            self._twice(f"{own}(0).iteration-item-driver", clock + 10, clock + 10)
            self._twice(f"{own}(0).iteration-item", clock + 10, end, failed=fails)
            self._twice(own, clock + 10, end, failed=fails)
            ends.append(end)
            failed = failed or fails
        self.nodes.append(Node(f"{path}(0).iteration-iterations", clock, max(ends), failed))
        self._twice(path, clock, max(ends), failed=failed)
        return max(ends), failed

    def _step(self, parent: str, name: str, clock: int, seconds: int, *, failed: bool = False) -> int:
        """A step behind its driver; returns when it ends."""
        start, end = clock + 10, clock + 10 + seconds
        self._twice(f"{parent}.{name}-driver", clock, start)
        self._twice(f"{parent}.{name}", start, end, failed=failed)
        self._twice(f"{parent}.{name}(0).executor", start, end, failed=failed)
        return end

    def _twice(self, path: str, start: int, end: int, *, failed: bool = False) -> None:
        """Every node is there as the one that is tried, and as its first attempt."""
        self.nodes += [Node(path, start, end, failed), Node(f"{path}(0)", start, end, failed)]

    def _detail(self, node: Node, second: int) -> dict[str, Any]:
        over = node.end <= second
        detail: dict[str, Any] = {
            "task_id": f"task-{fnv1a(node.path)}",
            "display_name": _name(node.path),
            "start_time": _time(node.start),
            "end_time": _time(node.end) if over else NEVER,
        }
        if not node.omitted:
            detail["state"] = ("FAILED" if node.failed else "SUCCEEDED") if over else "RUNNING"
        if children := [{"pod_name": self._id(path)} for path in self._children(node.path)]:
            detail["child_tasks"] = children
        return detail

    def _children(self, path: str) -> Iterator[str]:
        for other in self.nodes:
            if other.path == f"{path}(0)" or other.path.rpartition(".")[0] == path:
                yield other.path

    def _id(self, path: str) -> str:
        return path if path == self.workflow else f"{self.workflow}-{fnv1a(path)}"


def _name(path: str) -> str:
    """A node's display name: the last part of its path."""
    parent, _, name = path.rpartition(".")
    return f"exit-handler-1.{name}" if name.startswith("onExit") and parent else name


def _order(name: str) -> tuple[int, str]:
    """Steps as they follow each other, the lanes side by side."""
    steps: Sequence[str] = ("preprocess", "for-loop", "evaluate", "rollout", "promote", "report", "choose")
    return next(index for index, step in enumerate(steps) if name.startswith(step)), name


def _time(second: int) -> str:
    return (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
