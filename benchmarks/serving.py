"""How fast a served model answers, whether its memory stays flat, and that one by one is as good as together.

    python -m benchmarks.serving glyphs-5way-1shot

Prints Markdown for docs/serving.md. Timings are medians and 95th percentiles of many requests from this
machine, whose cores the server shares.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import psutil
import requests
import torch

from components.kinds.kind import Kind
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.serving.models import OpenModel, open_model
from metasgd.tasks import Batch, Examples

PORT = 8123
URL = f"http://127.0.0.1:{PORT}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("model", help="a registered model of pictures")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--adaptations", type=int, default=1_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = open_model(options.model)
    with TemporaryDirectory() as folder:
        preprocess(model.tasks, Path(folder) / "episodes")
        batch = _test_tasks(load_tasks(Path(folder) / "episodes"))
    print("| | |\n|---|---|")
    _accuracies(model, batch)
    _in_process(options.model, model, batch)
    _over_http(options, batch)


def _row(name: str, value: str) -> None:
    print(f"| {name} | {value} |", flush=True)


def _test_tasks(tasks: Kind) -> Batch:
    found: Batch = tasks.batch("test", tasks.parameters.reported_shots)  # type: ignore[attr-defined]
    return found


def _accuracies(model: OpenModel, batch: Batch) -> None:
    alone, together, equal = [], [], True
    for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
        task = model.served.adapt(Examples(support_x, support_y))
        outputs = task.predict(query_x)
        singly = torch.cat([task.predict(one) for one in torch.split(query_x, 1)])
        equal = equal and torch.equal(outputs, singly)
        together.append((outputs.argmax(-1) == query_y).float().mean().item())
        alone.append((singly.argmax(-1) == query_y).float().mean().item())
    for name, scores in (("asked together", together), ("asked one by one", alone)):
        half = 1.96 * np.std(scores) / len(scores) ** 0.5
        _row(
            f"accuracy on {len(scores)} test tasks, {name}",
            f"{100 * np.mean(scores):.2f} ± {100 * half:.2f} %",
        )
    _row("the same bits", "yes" if equal else "no")


def _in_process(name: str, model: OpenModel, batch: Batch) -> None:
    support = Examples(batch.support_x[0], batch.support_y[0])
    task, query = model.served.adapt(support), batch.query_x[0]
    _timed("in this process: adapt", lambda: model.served.adapt(support), 200)
    _timed("one picture, adapted before", lambda: task.predict(query[:1]), 2000)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    arrays = (support.x.numpy(), support.y.numpy(), query.numpy())
    given = dict(zip(("support_examples", "support_labels", "query_examples"), arrays, strict=True))
    single = {**given, "query_examples": given["query_examples"][:1]}
    _timed(f"MLflow's pyfunc: adapt and {len(query)} pictures", lambda: loaded.predict(given), 200)
    _timed("MLflow's pyfunc: adapt and one picture", lambda: loaded.predict(single), 200)


def _timed(name: str, call: Callable[[], Any], count: int) -> None:
    call()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    median, high = 1000 * np.percentile(seconds, [50, 95])
    _row(name, f"{median:.2f} / {high:.2f} ms")


@contextmanager
def _server(model: str) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "components.serving.serve", model, "--port", str(PORT)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                requests.get(f"{URL}/health", timeout=120)
                break
            except requests.ConnectionError:
                if process.poll() is not None:
                    raise SystemExit("the server did not start") from None
        _row("start of the server to its first answer", f"{time.perf_counter() - start:.1f} s")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _over_http(options: argparse.Namespace, batch: Batch) -> None:
    support = _support(batch, 0)
    one = {"queries": [{"values": batch.query_x[0, 0].tolist()}]}
    many = {"queries": [{"values": x.tolist()} for x in batch.query_x[0]]}
    with _server(options.model) as process, requests.Session() as session:

        def post(path: str, body: dict[str, Any], via: requests.Session = session) -> Any:
            answer = via.post(f"{URL}{path}", json=body, timeout=60)
            answer.raise_for_status()
            return answer.json()

        start = time.perf_counter()
        adapted = post("/adapt", {"support": support})["id"]
        _row("HTTP: the first adaptation", f"{time.perf_counter() - start:.2f} s")
        _timed("HTTP: adapt", lambda: post("/adapt", {"support": support}), 200)
        _timed("HTTP: one picture, adapted before", lambda: post(f"/predict/{adapted}", one), 1000)
        _timed(
            f"HTTP: {len(batch.query_x[0])} pictures, adapted before",
            lambda: post(f"/predict/{adapted}", many),
            200,
        )
        whole = {"tasks": [{"support": support, **many}]}
        _timed(f"HTTP: adapt and {len(batch.query_x[0])} pictures", lambda: post("/predict", whole), 200)
        for clients in (1, 4):
            _row(
                f"HTTP: pictures per second, {clients} client{'s' * (clients > 1)}",
                f"{_throughput(f'/predict/{adapted}', one, clients):.0f}",
            )
        before = process.memory_info().rss
        for _ in range(options.requests):
            post(f"/predict/{adapted}", one)
        middle = process.memory_info().rss
        for number in range(options.adaptations):
            post("/adapt", {"support": _support(batch, number % len(batch.support_x))})
        after = process.memory_info().rss
        told = ", ".join(f"{value / 2**20:.0f}" for value in (before, middle, after))
        _row(
            f"memory before, after {options.requests:,} requests, after {options.adaptations:,} adaptations",
            f"{told} MB",
        )


def _support(batch: Batch, number: int) -> list[dict[str, Any]]:
    pairs = zip(batch.support_x[number], batch.support_y[number].tolist(), strict=True)
    return [{"class": f"class {label}", "values": x.tolist()} for x, label in pairs]


def _throughput(path: str, body: dict[str, Any], clients: int, count: int = 1000) -> float:
    def client(_: int) -> None:
        with requests.Session() as session:
            for _ in range(count // clients):
                session.post(f"{URL}{path}", json=body, timeout=60).raise_for_status()

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
