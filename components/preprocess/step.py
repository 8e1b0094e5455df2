"""Episodes: draw the fixed tasks once for everybody, from curves or from pictures."""

from pathlib import Path

from components.episodes import SETS, draw_fixed, write_episodes
from components.files import whole_folder
from components.parameters import SinusoidTasks, Tasks
from metasgd.tasks.sinusoid import Sinusoid


def preprocess(tasks: Tasks, output: Path) -> None:
    """Write the episodes folder (see components.episodes), whole or not at all.

    Raises InputError for data that is missing or damaged, and for episodes that the classes cannot fill.
    """
    with whole_folder(output) as folder:
        if isinstance(tasks, SinusoidTasks):
            _sinusoid(tasks, folder)
        else:
            # Not at the top: torchvision takes longer to import than curves take to draw.
            from components.preprocess.image_episodes import write_image_episodes

            write_image_episodes(tasks, folder)


def _sinusoid(tasks: SinusoidTasks, folder: Path) -> None:
    distribution = Sinusoid(tasks.distribution)
    manifest = {
        "source": "drawn from the distribution",
        "problem": {"objective": "regression", "input_shape": [1], "outputs": 1},
        "notes": [f"{tasks.stored.test_queries} evenly spaced points score a curve"],
    }
    fixed = {name: draw_fixed(distribution, tasks, name) for name in SETS}
    write_episodes(folder, manifest, tasks, fixed, images={})
