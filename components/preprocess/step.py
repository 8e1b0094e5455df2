"""Episodes: draw the fixed tasks once for everybody: curves, goals, or classes of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.episodes import SETS, draw_fixed, write_episodes
from components.files import whole_folder
from components.parameters import ControlTasks, SinusoidTasks, Tasks
from metasgd.seeds import generator
from metasgd.tasks.control import build
from metasgd.tasks.sinusoid import Sinusoid

if TYPE_CHECKING:
    from components.preprocess.pinned import Pin  # with boto3, which other runs need not import


def preprocess(tasks: Tasks, output: Path, pinned: "Pin | None" = None) -> None:
    """Write the episodes folder (see components.episodes), whole or not at all.

    pinned: download the pictures' files first; the episodes are those that the files in place would give.
    Raises InputError for data that is missing or damaged, and for episodes that the classes cannot fill.
    """
    with whole_folder(output) as folder:
        if isinstance(tasks, SinusoidTasks):
            _sinusoid(tasks, folder)
        elif isinstance(tasks, ControlTasks):
            _control(tasks, folder)
        else:
            # Not at the top: torchvision takes longer to import than curves take to draw.
            from components.preprocess.image_episodes import write_image_episodes

            write_image_episodes(tasks, folder, pinned)


def _sinusoid(tasks: SinusoidTasks, folder: Path) -> None:
    distribution = Sinusoid(tasks.distribution)
    manifest = {
        "source": "drawn from the distribution",
        "problem": {"objective": "regression", "input_shape": [1], "outputs": 1},
        "notes": [f"{tasks.stored.test_queries} evenly spaced points score a curve"],
    }
    fixed = {name: draw_fixed(distribution, tasks, name) for name in SETS}
    write_episodes(folder, manifest, tasks, fixed, images={})


def _control(tasks: ControlTasks, folder: Path) -> None:
    dynamics = build(tasks.distribution)
    manifest = {
        "source": "drawn from the distribution",
        "problem": {
            "objective": "control",
            "input_shape": [dynamics.observations],
            "outputs": dynamics.actions,
            "discount": tasks.distribution.discount,
        },
        "notes": [
            f"{tasks.stored.test_queries} trajectories score a task, by their undiscounted return",
            f"discount {tasks.distribution.discount} in the advantages",
        ],
    }
    counts = {name: getattr(tasks.stored, name) for name in SETS}
    fixed = {
        name: dynamics.sample(count, generator(tasks.seed, f"{name} tasks")) for name, count in counts.items()
    }
    write_episodes(folder, manifest, tasks, fixed, images={})
