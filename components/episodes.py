"""The episodes folder: what preprocess writes, and every later step reads.

manifest.json        what the tasks are, where they come from, their hashes
tasks.safetensors    the fixed tasks, "validation/…", "gate/…" and "test/…"
images.safetensors   per split, flat pictures and the size of each class (image tasks only)
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from components.parameters import ControlTasks, ImageTasks, SinusoidTasks, Tasks, tasks_from_json, to_json
from metasgd.adaptation import Problem
from metasgd.checkpoint import read_tensors, write_atomically
from metasgd.errors import InputError
from metasgd.rollouts import Dynamics
from metasgd.seeds import generator
from metasgd.tasks import Batch, TaskDistribution
from metasgd.tasks.control import build
from metasgd.tasks.images import ClassIndex, ImageEpisodes, with_rotations
from metasgd.tasks.sinusoid import Sinusoid

MANIFEST, TASKS, IMAGES = "manifest.json", "tasks.safetensors", "images.safetensors"
SETS = ("validation", "gate", "test")


@dataclass(frozen=True)
class Episodes:
    """A loaded episodes folder.

    distributions: p(T) per set; "train" is the one that meta-training samples from. None in control,
    dynamics: where tasks are drawn from these instead.
    fixed: the stored tasks per set.
    """

    tasks: Tasks
    problem: Problem
    manifest: Mapping[str, Any]
    distributions: Mapping[str, TaskDistribution]
    dynamics: Dynamics | None
    fixed: Mapping[str, dict[str, Tensor]]

    @property
    def train(self) -> TaskDistribution:
        return self.distributions["train"]

    @property
    def control(self) -> Dynamics:
        """The dynamics. Raises InputError for tasks that are not of control."""
        if self.dynamics is None:
            raise InputError(f"episodes of kind {self.tasks.kind!r}; expected 'control'")
        return self.dynamics

    @property
    def shots(self) -> int:
        """The number of test shots that is reported."""
        return self.tasks.stored.test_shots[0]

    def batch(self, name: str, shots: int) -> Batch:
        """The stored tasks of one set, with `shots` examples (of each class) to adapt on."""
        return self.distributions[name].fixed_batch(self.fixed[name], shots, self.tasks.stored.test_queries)

    def task_set(self, name: str, shots: int) -> str:
        """sha256 of what decides a score on these tasks: the tasks, the pictures, shots and queries;
        in control also the dynamics and the seed of the noise.
        """
        content = tensors_hash(self.fixed[name])
        scored = f"{self.manifest['pictures']}/{content}/{shots}/{self.tasks.stored.test_queries}"
        if isinstance(self.tasks, ControlTasks):
            scored += f"/{to_json(self.tasks.distribution)}/{self.tasks.seed}"
        return hashlib.sha256(scored.encode()).hexdigest()

    def noise(self, name: str) -> Callable[[int], torch.Generator]:
        """The actions' noise on the stored tasks of one set, chunk by chunk."""
        return lambda chunk: generator(self.tasks.seed, f"{name} noise {chunk}")


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes, types and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_episodes(
    folder: Path,
    manifest: Mapping[str, Any],
    tasks: Tasks,
    fixed: Mapping[str, dict[str, Tensor]],
    images: Mapping[str, Tensor],
) -> None:
    """Write the folder; `manifest` is completed with the tasks' parameters and the content's hashes."""
    flat = {f"{name}/{key}": value for name, tensors in fixed.items() for key, value in tensors.items()}
    pictures = tensors_hash(images)
    document = {
        **manifest,
        "tasks": json.loads(to_json(tasks)),
        "pictures": pictures,
        "data": hashlib.sha256(f"{pictures}/{tensors_hash(flat)}".encode()).hexdigest(),
    }
    write_atomically(folder / TASKS, save(flat))
    if images:
        write_atomically(folder / IMAGES, save(dict(images)))
    write_atomically(folder / MANIFEST, (json.dumps(document, indent=2) + "\n").encode())


def draw_fixed(distribution: TaskDistribution, tasks: Tasks, name: str) -> dict[str, Tensor]:
    """The tasks of one set, decided by the tasks' seed alone."""
    stored = tasks.stored
    count = {"validation": stored.validation, "gate": stored.gate, "test": stored.test}[name]
    # Validation tasks are adapted to with the shots of meta-training.
    shots = max(*stored.test_shots, tasks.distribution.shots)
    return distribution.draw_fixed(count, shots, stored.test_queries, generator(tasks.seed, f"{name} tasks"))


def load_episodes(folder: Path) -> Episodes:
    """Read an episodes folder. Raises InputError for one that is missing, damaged or foreign."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        tasks = tasks_from_json(json.dumps(manifest["tasks"]), str(path))
        problem = Problem(**{**manifest["problem"], "input_shape": tuple(manifest["problem"]["input_shape"])})
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; expected the output of the preprocess step") from None
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a manifest of episodes ({error!r})") from None
    flat = read_tensors(folder / TASKS)
    dynamics = build(tasks.distribution) if isinstance(tasks, ControlTasks) else None
    fixed = {
        name: {key.partition("/")[2]: value for key, value in flat.items() if key.startswith(f"{name}/")}
        for name in SETS
    }
    return Episodes(tasks, problem, manifest, _distributions(folder, tasks), dynamics, fixed)


def _distributions(folder: Path, tasks: Tasks) -> dict[str, TaskDistribution]:
    if isinstance(tasks, ControlTasks):
        return {}
    if isinstance(tasks, SinusoidTasks):
        return dict.fromkeys(("train", *SETS), Sinusoid(tasks.distribution))
    return image_distributions(tasks, read_tensors(folder / IMAGES))


def image_distributions(tasks: ImageTasks, stored: Mapping[str, Tensor]) -> dict[str, TaskDistribution]:
    """p(T) for each set of classes; validation and gate tasks share the validation classes.

    stored: per split "<split>/images", uint8 [images, channels, height, width] sorted by class, and
        "<split>/sizes", int64 [classes]. A final training has no validation classes: there, tasks of
        training classes take their place.
    """

    def episodes(split: str, rotated: bool) -> ImageEpisodes:
        images, index = stored[f"{split}/images"], ClassIndex.of(stored[f"{split}/sizes"])
        if rotated:
            images, index = with_rotations(images, index)
        return ImageEpisodes(tasks.distribution, images, index)

    source = tasks.source
    held_out = not source.final
    validation = episodes("validation" if held_out else "train", source.rotate_test)
    return {
        "train": episodes("train", source.rotations),
        "validation": validation,
        "gate": validation,
        "test": episodes("test", source.rotate_test),
    }
