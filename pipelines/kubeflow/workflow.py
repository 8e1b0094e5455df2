"""The Argo workflow behind a run, as far as Kubeflow's answer tells.

The answer is one flat list of tasks, attempts and drivers without ids; each entry names its children by
their ids. An id is the workflow's name and the FNV-1a hash of the node's path (Argo's own rule), and a path
is made of names in the list: so the paths behind the ids are found by hashing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

OFFSET, PRIME = 0x811C9DC5, 0x01000193  # of FNV-1a with 32 bits
ATTEMPT = re.compile(r"\((\d+)\)$")
ITERATION = re.compile(r"\.iteration-iterations\((\d+):")
# Argo's pods are called after their templates, and KFP's templates after what a task asks for: here retries
# and two labels (pipelines.pods).
EXECUTOR, DRIVER = "metadata-0-2-retry-system-container-impl", "system-container-driver"


@dataclass(frozen=True)
class Place:
    """Where a task ran.

    iteration: its index in a loop, None outside. pod: its last attempt's, if it had one.
    """

    iteration: int | None
    pod: str | None


class Workflow:
    """details: the `task_details` of a run (kfp_server_api.V2beta1PipelineTaskDetail)."""

    def __init__(self, details: Sequence[Any]) -> None:
        self.details = details
        self.name = next(iter(self._ids), "").rpartition("-")[0]

    def place(self, detail: Any) -> Place:
        """Where the task of this entry ran: the entry of the task itself, and not of an attempt."""
        path = self._path(detail)
        if path is None:
            return Place(None, None)
        found = ITERATION.search(path)
        return Place(int(found[1]) if found else None, self._pod(path))

    def attempts(self, task: str) -> int:
        """How many pods of tasks of this name were started anew."""
        names = (path.rpartition(f".{task}")[2] for path in self._paths.values() if f".{task}(" in path)
        return sum(
            1 for rest in names if re.fullmatch(r"(\(\d+\))?\.executor\([1-9]\d*\)|\([1-9]\d*\)", rest)
        )

    def _path(self, detail: Any) -> str | None:
        for child in detail.child_tasks or []:
            path = self._paths.get(child.pod_name, "")
            for candidate in (ATTEMPT.sub("", path), path.rpartition(".")[0]):
                if candidate.rpartition(".")[2] == detail.display_name:
                    return candidate
        return None

    def _pod(self, path: str) -> str | None:
        driver = path.endswith("-driver")
        pods = [
            (attempt_numbers(rest), identity)
            for identity, found in self._paths.items()
            if found.startswith(path)
            and re.fullmatch(
                r"(\(\d+\))?" if driver else r"(\(\d+\))?\.executor(\(\d+\))?", rest := found[len(path) :]
            )
        ]
        if not pods:
            return None
        template = DRIVER if driver else EXECUTOR
        return f"{self.name}-{template}-{max(pods)[1].rpartition('-')[2]}"

    @cached_property
    def _ids(self) -> set[str]:
        return {child.pod_name for detail in self.details for child in detail.child_tasks or []}

    @cached_property
    def _paths(self) -> dict[str, str]:
        """The path behind every id."""
        names = {detail.display_name for detail in self.details if detail.display_name}
        frontier = [(name, fnv1a(name)) for name in names if name.startswith(self.name)]
        paths = {f"{self.name}-{hashed}": name for name, hashed in frontier}
        while frontier:
            parent, hashed = frontier.pop()
            for name in names:
                child = fnv1a(f".{name}", hashed)
                identity = f"{self.name}-{child}"
                if identity in self._ids and identity not in paths:
                    paths[identity] = f"{parent}.{name}"
                    frontier.append((paths[identity], child))
        return paths


def fnv1a(text: str, start: int = OFFSET) -> int:
    """The hash of `text`, or of a longer text whose beginning has the hash `start`."""
    for byte in text.encode():
        start = (start ^ byte) * PRIME & 0xFFFFFFFF
    return start


def attempt_numbers(text: str) -> tuple[int, ...]:
    """(1, 0) of "(1).executor(0)"."""
    return tuple(int(number) for number in re.findall(r"\((\d+)\)", text))
