"""README's picture, docs/one-step.svg: one step of published models.

Each panel is the first test task of its experiment, for the model of the first seed: none is picked.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from components.artifacts.checkpoint import Trained, load_trained
from components.config.code import ROOT
from components.kinds.kind import Kind
from components.kinds.supervised import Supervised
from components.kinds.table import load_tasks, task_settings
from components.plots.one_step import Guesses, one_step
from components.plots.planes import Journeys
from metasgd.evaluation import predictions
from metasgd.files import write_atomically
from metasgd.tasks import Batch
from pipelines.publishing.record import RESULTS, model_folder, read_record
from pipelines.publishing.trainings import KEPT, drawn


def draw(path: Path) -> None:
    drawing = one_step(
        _curve(*published("sinusoid-5shot-paper")),
        _guesses(*published("glyphs-5way-1shot")),
        _path(*published("navigation")),
    )
    write_atomically(path, drawing.encode())


def published(experiment: str) -> tuple[Trained, Kind]:
    """Meta-SGD's model of the first seed, and the tasks that it was scored on."""
    record = read_record(ROOT / RESULTS / experiment / "meta-sgd.json")
    tasks = load_tasks(drawn(task_settings(record.tasks, record.title), KEPT))
    folder = model_folder(experiment, record.models[0])
    return load_trained(folder, tasks.episodes.manifest.problem), tasks


def _first(trained: Trained, tasks: Kind) -> tuple[Batch, Tensor]:
    """The first test task [1, ...], and outputs [before and after, query, outputs]."""
    assert isinstance(tasks, Supervised)  # noqa: S101  # curves and pictures are
    batch = tasks.batch("test", tasks.parameters.reported_shots)
    task = Batch(*(part[:1] for part in batch))
    return task, predictions(trained.learner, trained.meta, task, steps=1)[0]


def _curve(trained: Trained, tasks: Kind) -> dict[str, Any]:
    task, outputs = _first(trained, tasks)
    names = ("support_x", "support_y", "query_x", "truth")
    drawn_points = {name: part.flatten().tolist() for name, part in zip(names, task, strict=True)}
    before, after = outputs[..., 0].tolist()
    return {**drawn_points, "before": before, "after": after}


def _guesses(trained: Trained, tasks: Kind) -> Guesses:
    """Of every class, the picture that is shown and the first that is asked."""
    task, outputs = _first(trained, tasks)
    support, query = task.support_y[0].tolist(), task.query_y[0].tolist()
    ways = sorted(set(support))
    shown = [task.support_x[0, support.index(way), 0] for way in ways]
    places = [query.index(way) for way in ways]
    right = outputs.argmax(dim=-1)[:, places] == task.query_y[0, places]
    asked = task.query_x[0, places, 0]
    return Guesses(torch.stack(shown).numpy(), asked.numpy(), right.numpy())


def _path(trained: Trained, tasks: Kind) -> Journeys:
    """From the trajectories that a lane of this one model leaves."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "figures").mkdir()
        tasks.draw_lane([trained], folder)
        driven = load_file(folder / "trajectories" / f"{trained.name}.safetensors")
    return Journeys(
        name=trained.name,
        paths=driven["observations"].numpy(),
        alive=driven["alive"].numpy(),
        goals=driven["task/goal"].numpy(),
        starts=driven["task/start"].numpy(),
        returns=driven["rewards"].sum(dim=-1).mean(dim=-1).numpy(),
    )
