"""One prepared training on a GPU: python -m benchmarks.gpu.train omniglot-5way-1shot --minutes 9

Repeated, the same command continues from the state that it left, bit for bit. At the end it writes a folder
with the checkpoint, which `benchmarks.gpu.adopt` takes on an ordinary machine.
"""

import argparse
import csv
import hashlib
import io
import json
import shlex
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.prepared import PREPARED, Job, read_job
from components.console.command import run_command
from metasgd.checkpoint import save_checkpoint
from metasgd.errors import CheckpointError
from metasgd.files import write_atomically
from metasgd.loop import Outcome, Point, TrainingState, Watch
from metasgd.own_folder import own_folder
from metasgd.resume import NotWholeError, from_bytes, to_bytes

CURVE, ORIGIN = "curve.csv", "origin.json"  # beside the checkpoint; `benchmarks.gpu.adopt` reads them


class PausedError(Exception):
    """The time of this call is over."""


class Sitting:
    """The state of a training, which may take several calls. Implements `metasgd.loop.Resume`.

    seconds: what all calls took so far.
    """

    def __init__(self, path: Path, job: Job, minutes: float) -> None:
        self.path, self.job, self.minutes = path, job, minutes
        about = (job.training, job.chosen["code"], job.chosen["data"], torch.__version__, job.settings.device)
        self.identity = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        self.started = self.last = time.perf_counter()
        self.before = 0.0

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    def restore(self, state: TrainingState) -> None:
        if not self.path.exists():
            return
        try:
            saved = from_bytes(self.path.read_bytes(), self.identity, str(self.path))
        except NotWholeError as error:
            raise CheckpointError(f"{error}; delete it to start anew") from None
        saved.restore(state)
        self.before = float(saved.about["seconds"])
        print(f"{self.job.name}: continues from iteration {state.iteration}", flush=True)

    def save(self, state: TrainingState) -> None:
        """Raises PausedError where the way to the next point of the curve would take too long."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, to_bytes(state, self.identity, {"seconds": self.seconds}))
        now, earlier = time.perf_counter(), self.last
        self.last = now
        over = now - self.started + (now - earlier) > 60 * self.minutes
        if over and state.iteration < self.job.settings.iterations:
            raise PausedError(f"iteration {state.iteration} of {self.job.settings.iterations}")


def main() -> None:
    options = _parser().parse_args()
    folder = options.prepared / options.experiment
    job = read_job(folder, options.algorithm, options.seed, options.device, options.iterations)
    sitting = Sitting(options.state / f"{job.name}.safetensors", job, options.minutes)
    try:
        outcome = job.fit(_teller(job, sitting), sitting)
    except PausedError as pause:
        print(f"{job.name}: {pause}; the same command continues")
        return
    print(f"wrote {write(job, outcome, sitting.seconds, options.out)}, after {sitting.seconds:.0f} s in all")


def write(job: Job, outcome: Outcome, seconds: float, output: Path) -> Path:
    """The checkpoint folder, in the layout of the train step, with what made it in a file beside."""
    place = output / job.name
    about = {
        "training": job.training,
        "data": job.chosen["data"],
        "chosen_iteration": outcome.iteration,
        "device": device_name(outcome.device),
        "compiled": outcome.compiled,
        "torch": torch.__version__,
        "tasks": job.chosen["tasks"],
        "preparation": job.chosen["preparation"],
    }
    origin = {
        "code": job.chosen["code"]["digest"],
        "seconds": round(seconds, 1),
        "publish": publication(job),
    }
    with own_folder(place, "benchmarks.gpu.train") as folder:
        save_checkpoint(folder, job.learner, outcome.meta, about)
        write_atomically(folder / CURVE, curve(outcome.curve).encode())
        write_atomically(folder / ORIGIN, (json.dumps(origin, indent=2) + "\n").encode())
    return place


def publication(job: Job) -> str:
    """The command that scores and publishes it, on an ordinary machine."""
    overrides = [*job.chosen["overrides"], f"compare=[{job.training['algorithm']}]"]
    return (
        f"make publish EXPERIMENTS={job.training['experiment']} SEEDS={job.seed} "
        f"SET={shlex.quote(' '.join(overrides))}"
    )


def curve(points: list[Point]) -> str:
    """In the layout of the train step."""
    rows: list[dict[str, Any]] = [
        {"iteration": point.iteration, **point.values, "validation": point.validation} for point in points
    ]
    text = io.StringIO()
    names = rows[0] if rows else ("iteration", "validation")
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def device_name(device: str) -> str:
    """As in "cuda (NVIDIA H200)"."""
    return f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else device


def _teller(job: Job, sitting: Sitting) -> Watch:
    """Says every validation, with the speed since the last one; before the first one, much is compiling."""
    last = [0, time.perf_counter()]

    def tell(point: Point) -> None:
        if point.validation is None:
            return
        now = time.perf_counter()
        speed = (point.iteration - last[0]) / (now - last[1])
        rate = f"{speed:.1f} iterations/s, {speed * job.settings.meta_batch:.0f} tasks/s, " if last[0] else ""
        last[:] = point.iteration, now
        values = ", ".join(f"{name} {value:.4g}" for name, value in point.values.items())
        print(
            f"{job.name}: iteration {point.iteration} of {job.settings.iterations}: {values}, validation "
            f"{point.validation:.4g}, {rate}{sitting.seconds:.0f} s",
            flush=True,
        )

    return tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.train",
        description="Train on a GPU what benchmarks.gpu.pack prepared.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("experiment", help="a folder of --prepared")
    parser.add_argument("--algorithm", default="meta-sgd", help="one of the experiment's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prepared", type=Path, default=PREPARED, help="where pack wrote to")
    parser.add_argument("--state", type=Path, default=PREPARED / "states", help="folder of states")
    parser.add_argument("--minutes", type=float, default=9, help="after which this call ends, with a state")
    parser.add_argument("--out", type=Path, default=PREPARED / "trained", help="folder of checkpoints")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="in place of the experiment's")
    parser.add_argument("--iterations", type=int, help="in place of the experiment's, for a trial")
    return parser


if __name__ == "__main__":
    run_command(main)
