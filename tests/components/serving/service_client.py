"""A server on loopback, and requests to it."""

import base64
import io
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
import uvicorn
from PIL import Image

from components.config.parsing import to_document
from components.config.preparation import Preparation
from components.config.settings import TaskSettings
from components.kinds.experiment import load_experiment
from components.serving.bodies import Limits
from components.serving.models import OpenModel
from components.serving.service import create_app
from metasgd.checkpoint import save_checkpoint
from metasgd.learner import Learner, Problem
from metasgd.learners import build_learner
from metasgd.seeds import generator
from metasgd.serving import ServedModel
from tests.components.lane import PARAMS
from tests.metasgd.small import convnet_settings, learner_settings, policy_learner, sine_learner

JSON = {"content-type": "application/json"}

LIMITS = Limits()

SIDE = 28  # of the glyphs


def tasks_of(experiment: str) -> TaskSettings:
    return load_experiment(experiment, path=PARAMS).tasks


def opened(learner: Learner, experiment: str) -> OpenModel:
    served = ServedModel(learner, learner.initial(generator(1, "theta")))
    tasks = tasks_of(experiment)
    return OpenModel("tiny", "3", "meta-sgd", 1, tasks, served, tasks.preparation)


def pictures_model(head: str = "per-class", **changes: Any) -> OpenModel:
    """Of three classes."""
    problem = Problem("classification", (1, SIDE, SIDE), 3)
    settings = learner_settings(**({"start": (0.5, 0.5)} | changes))
    return opened(build_learner(problem, convnet_settings(head=head), settings), "glyphs-5way-1shot")


def served_checkpoint(folder: Path, preparation: Preparation | None = None) -> Path:
    """Of pictures_model, which is the same at every call."""
    model = pictures_model()
    about = {
        "training": {"algorithm": "meta-sgd", "seed": 1, "train": {}},
        "tasks": to_document(model.tasks),
        "preparation": to_document(preparation) if preparation else None,
    }
    save_checkpoint(folder, model.served.learner, model.served.meta, about)
    return folder


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

NOTHING: dict[str, Any] = {"observations": [], "actions": [], "rewards": [], "alive": []}


def drawn(trajectories: int = 4, time: int = 5) -> dict[str, Any]:
    noise, size = generator(2, "trajectories"), (trajectories, time)
    return {
        "observations": torch.rand((*size, 2), generator=noise).tolist(),
        "actions": torch.randn((*size, 2), generator=noise).tolist(),
        "rewards": torch.rand(size, generator=noise).tolist(),
        "alive": torch.ones(size, dtype=torch.bool).tolist(),
    }


def asked(**changes: Any) -> dict[str, Any]:
    return {"tasks": [{"support": support_of(ABC), "queries": queries_of(1)} | changes]}


VALUES, SUPPORT = "support.2.values", "support.2"


def require_line(answer: requests.Response, status: int, message: str) -> None:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}
    line = answer.json()["detail"]
    assert re.search(message, line), line
    assert len(line.splitlines()) == 1
    assert len(line) <= 300
    assert not re.search("NaN|Traceback", answer.text)
