"""Episodes: what preprocess writes is what every later step reads, the same bytes for the same parameters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from components.artifacts.episodes import IMAGES, MANIFEST, SETS, TASKS
from components.config.settings import TaskSettings
from components.kinds.kind import task_set
from components.kinds.table import load_tasks
from components.preprocess.step import preprocess
from components.train.identity import identity
from metasgd.errors import InputError
from metasgd.own_folder import MARK
from tests.components.artifacts.drawn import sine_tasks, written
from tests.components.datasets.helpers import png, write_files
from tests.components.lane import experiment


def labels(x: Tensor) -> Tensor:
    """The class that a picture's shade says, of any tensor [..., channels, height, width]."""
    return (x[..., 0, 0, 0] * 255).round().long() // 20


def test_sine_episodes_load_back(tmp_path: Path) -> None:
    """Problem, counts and shots are the parameters'; the batches are regression tasks of those shapes."""
    tasks = sine_tasks()
    data = load_tasks(written(tasks, tmp_path / "episodes"))
    assert data.parameters == tasks
    assert (
        data.episodes.manifest.problem.objective,
        data.episodes.manifest.problem.input_shape,
        data.episodes.manifest.problem.outputs,
    ) == ("regression", (1,), 1)
    assert data.parameters.reported_shots == 5
    counts = {name: tuple(data.batch(name, 5).support_x.shape) for name in SETS}
    assert counts == {"validation": (5, 5, 1), "gate": (30, 5, 1), "test": (8, 5, 1)}
    batch = data.batch("test", 10)
    assert batch.support_y.shape == (8, 10, 1)
    assert batch.query_x.shape == (8, 20, 1)
    drawn = data.distribution("train").sample(2, torch.Generator())
    assert (drawn.support_x.shape, drawn.query_x.shape) == ((2, 5, 1), (2, 10, 1))
    assert not (tmp_path / "episodes" / IMAGES).exists()


def test_picture_episodes_load_back(tmp_path: Path, image_tasks: Callable[..., TaskSettings]) -> None:
    """Every picture is of the class that its label names, and the splits share no class."""
    data = load_tasks(written(image_tasks(), tmp_path / "episodes"))
    assert (data.episodes.manifest.problem.input_shape, data.episodes.manifest.problem.outputs) == (
        (1, 4, 4),
        2,
    )
    assert data.episodes.manifest.classes == {"train": 6, "validation": 3, "test": 3}
    assert data.episodes.manifest.images == {"train": 36, "validation": 18, "test": 18}
    classes: dict[str, set[int]] = {}
    for name in SETS:
        batch = data.batch(name, 2)
        assert batch.support_x.shape == (20, 4, 1, 4, 4)
        assert batch.query_x.shape == (20, 6, 1, 4, 4)
        support, query = labels(batch.support_x), labels(batch.query_x)
        assert torch.equal(support[:, ::2], query[:, ::3])
        assert bool((support[:, 0] != support[:, 2]).all())
        shades = torch.cat([batch.support_x, batch.query_x], dim=1)[..., 0, 0, 0]
        assert all(len(task.unique()) == 10 for task in shades)
        classes[name] = set(support.flatten().tolist())
    drawn = data.distribution("train").sample(50, torch.Generator())
    assert classes["validation"] == classes["gate"]
    assert len(classes["test"]) == 3
    assert not classes["test"] & classes["validation"]
    assert set(labels(drawn.support_x).flatten().tolist()).isdisjoint(classes["test"] | classes["gate"])


def test_the_stored_sets_differ(tmp_path: Path, image_tasks: Callable[..., TaskSettings]) -> None:
    """No task that chooses a checkpoint or decides about a champion is reported."""
    sine = load_tasks(written(sine_tasks(), tmp_path / "sine")).episodes.stored
    curves = [value for name in SETS for value in sine[name]["curves"].flatten().tolist()]
    assert len(set(curves)) == len(curves) == 43 * 3
    pictures = load_tasks(written(image_tasks(), tmp_path / "images")).episodes.stored
    assert not torch.equal(pictures["gate"]["pictures"], pictures["validation"]["pictures"])


@pytest.mark.parametrize("kind", ["sine", "images"])
def test_the_same_seed_writes_the_same_bytes(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings], kind: str
) -> None:
    """Written twice, the folder is the same byte for byte, pictures too; another seed writes others."""
    make: Callable[..., TaskSettings] = sine_tasks if kind == "sine" else image_tasks
    one, two = written(make(), tmp_path / "one"), written(make(), tmp_path / "two")
    files = {path.name: path.read_bytes() for path in one.iterdir()}
    assert files == {path.name: path.read_bytes() for path in two.iterdir()}
    assert set(files) == {MARK, MANIFEST, TASKS} | (
        {IMAGES, "contact-sheet.png"} if kind == "images" else set()
    )
    other = written(make("tasks.seed=5"), tmp_path / "other")
    assert (other / TASKS).read_bytes() != files[TASKS]


def test_task_sets_are_named_by_what_decides_a_score(tmp_path: Path) -> None:
    """The hash changes with seed, shots and set; not with the algorithm, or by preprocessing again."""
    data = load_tasks(written(sine_tasks(), tmp_path / "a"))
    same = [
        load_tasks(written(sine_tasks(), tmp_path / "b")),
        load_tasks(written(sine_tasks("algorithms.maml.steps=3", "train.rate=0.5"), tmp_path / "c")),
    ]
    assert {task_set(one, "gate", 5) for one in same} == {task_set(data, "gate", 5)}
    reseeded = load_tasks(written(sine_tasks("tasks.seed=5"), tmp_path / "d"))
    names = {
        task_set(data, "gate", 5),
        task_set(data, "gate", 10),
        task_set(data, "test", 5),
        task_set(reseeded, "gate", 5),
    }
    assert len(names) == 4


def test_task_sets_of_other_pictures_differ(
    tmp_path: Path, birds: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """One picture that changed, under the same names and indices, is another task set."""
    names = [path.relative_to(birds) for path in birds.rglob("*.png")]
    copy = write_files(tmp_path / "birds", {str(name): (birds / name).read_bytes() for name in names})
    before = load_tasks(written(image_tasks(f"tasks.source.path={copy}"), tmp_path / "before"))
    (copy / "a" / "0.png").write_bytes(png(250))
    after = load_tasks(written(image_tasks(f"tasks.source.path={copy}"), tmp_path / "after"))
    assert torch.equal(before.episodes.stored["gate"]["pictures"], after.episodes.stored["gate"]["pictures"])
    assert task_set(before, "gate", 1) != task_set(after, "gate", 1)
    assert before.episodes.manifest.data != after.episodes.manifest.data


def test_task_sets_with_other_query_points_differ(tmp_path: Path) -> None:
    """A curve scored on 20 points has another score than on 50: not the same task set."""
    few, many = (
        load_tasks(written(sine_tasks(f"tasks.stored.test_queries={points}"), tmp_path / str(points)))
        for points in (20, 50)
    )
    assert task_set(few, "gate", 5) != task_set(many, "gate", 5)


@pytest.mark.parametrize("change", ["tasks.distribution.shots=7", "tasks.distribution.queries=20"])
def test_a_resume_state_belongs_to_its_training_tasks(tmp_path: Path, change: str) -> None:
    """A state from 5-shot training must not be continued, or taken as finished, with 7 shots."""
    identities = {
        identity(
            experiment(*changes).training("meta-sgd", 1), load_tasks(written(sine_tasks(*changes), path))
        )
        for changes, path in (((), tmp_path / "a"), ((change,), tmp_path / "b"))
    }
    assert len(identities) == 2


def test_validation_with_more_shots_than_at_test(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """Trained with 3 shots and tested with 1: validation tasks still do not adapt on their query pictures."""
    tasks = image_tasks(
        "tasks.distribution.shots=3", "tasks.stored.test_shots=[1]", "tasks.stored.test_queries=2"
    )
    batch = load_tasks(written(tasks, tmp_path / "episodes")).batch("validation", 3)
    for support, query in zip(batch.support_x[..., 0, 0, 0], batch.query_x[..., 0, 0, 0], strict=True):
        assert not set(support.tolist()) & set(query.tolist())


def test_final_trains_on_training_and_validation_classes(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """final: true joins the two splits; the test classes and tasks stay what they were."""
    data = load_tasks(written(image_tasks(), tmp_path / "episodes"))
    final = load_tasks(
        written(image_tasks("tasks.source.final=true", "train.select=last"), tmp_path / "final")
    )
    assert final.episodes.manifest.classes == {"train": 9, "validation": 0, "test": 3}
    drawn = {
        name: set(
            labels(one.distribution("train").sample(100, torch.Generator().manual_seed(1)).support_x)
            .flatten()
            .tolist()
        )
        for name, one in (("usual", data), ("final", final))
    }
    held_out = set(labels(data.batch("validation", 1).support_x).flatten().tolist())
    assert drawn["final"] == drawn["usual"] | held_out
    assert torch.equal(final.batch("test", 1).support_x, data.batch("test", 1).support_x)
    assert any("no checkpoint selection" in note for note in final.episodes.manifest.notes)


def test_rotations_make_classes_for_training_or_test(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """With rotations, 5-way episodes can be drawn from two test classes; without, they cannot."""
    ways = ("tasks.distribution={ways: 5, shots: 1, queries: 2}",)
    tasks = image_tasks(*ways, "tasks.source.rotate_test=true")
    assert load_tasks(written(tasks, tmp_path / "turned")).batch("test", 1).support_x.shape[1] == 5
    with pytest.raises(
        InputError, match=r"validation has 3 classes; expected distribution\.ways, 5, at least"
    ):
        preprocess(image_tasks(*ways), tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
    assert not list(tmp_path.glob(".plain*")), "nothing half-written is left"


def test_training_classes_are_turned_on_their_own(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """rotations is about the 6 training classes only: 7 ways can be drawn from 24, and not from 6."""
    changes = ("tasks.distribution={ways: 7, shots: 1, queries: 2}", "tasks.source.rotate_test=true")
    turned = image_tasks(*changes, "tasks.source.rotations=true")
    drawn = (
        load_tasks(written(turned, tmp_path / "turned")).distribution("train").sample(1, torch.Generator())
    )
    assert drawn.support_x.shape[1] == 7
    with pytest.raises(InputError, match=r"train has 6 classes; expected distribution\.ways, 7, at least"):
        preprocess(image_tasks(*changes), tmp_path / "plain")


def test_the_manifest_says_what_a_reader_needs(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """Source, problem, parameters and protocol are there, and nothing of this machine or moment."""
    folder = written(image_tasks(), tmp_path / "episodes")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    assert set(manifest) == {"source", "problem", "classes", "images", "notes", "tasks", "pictures", "data"}
    assert "training classes not turned" in manifest["notes"]
    assert len(manifest["source"]) == len(manifest["data"]) == 64
    assert str(tmp_path) not in json.dumps({**manifest, "tasks": None})
