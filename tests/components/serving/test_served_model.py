"""The registered model: one task in, predictions after adaptation out, wherever it is loaded."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException

from components.kinds.sinusoid import Sinusoid
from components.kinds.table import load_tasks
from components.serving.served_model import AdaptingModel
from metasgd.checkpoint import load_checkpoint, save_checkpoint
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.seeds import generator
from metasgd.tasks import Examples
from tests.components.promote.contest import CHECKOUT, Gate
from tests.metasgd.small import convnet_settings, learner_settings, policy_learner

URI = "models:/sinusoid-5shot@champion"


def served_task(gate: Gate) -> dict[str, np.ndarray]:
    """A test task of its own, as the served model takes it."""
    tasks = load_tasks(gate.lane.episodes)
    assert isinstance(tasks, Sinusoid)
    batch = tasks.batch("test", 5)
    names = ("support_examples", "support_labels", "query_examples")
    return {name: tensor[3].numpy() for name, tensor in zip(names, batch, strict=False)}


def expected_predictions(gate: Gate, task: dict[str, np.ndarray]) -> np.ndarray:
    learner, meta, _ = load_checkpoint(gate.lane.checkpoint())
    support_x, support_y, query_x = (torch.tensor(value) for value in task.values())
    with torch.no_grad():
        adapted = learner.adapt(meta, Examples(support_x, support_y))
        return torch.cat([learner.predict(adapted, one) for one in torch.split(query_x, 1)]).numpy()


def test_the_registered_model_adapts_and_predicts(gate: Gate) -> None:
    """models:/<experiment>@champion gives, bit for bit, what the checkpoint's learner gives."""
    task = served_task(gate)
    model = mlflow.pyfunc.load_model(URI)
    np.testing.assert_array_equal(model.predict(task), expected_predictions(gate, task))
    fewer = {**task, "query_examples": task["query_examples"][:2]}
    assert model.predict(fewer).shape == (2, 1), "any number of queries"
    with pytest.raises(MlflowException, match="support_labels"):
        model.predict({name: value for name, value in task.items() if name != "support_labels"})


FRESH = """
import json, os, sys
from importlib.machinery import ModuleSpec, PathFinder
checkout, refused, used = {checkout!r}, {refused!r}, []

class OnlyWhatTheModelBrings:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in refused:
            used.append(name)
            return ModuleSpec(name, self)
        if top in ("metasgd", "served_model"):  # never the checkout's, however it is installed
            elsewhere = path or [place for place in sys.path if place != checkout]
            return PathFinder.find_spec(name, elsewhere) or ModuleSpec(name, self)

    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name + " is refused")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, OnlyWhatTheModelBrings())
import mlflow, numpy as np
model = mlflow.pyfunc.load_model({uri!r})
with np.load({task!r}) as task:
    np.save({output!r}, model.predict(dict(task)))
import metasgd
print(metasgd.__file__)
"""


def test_the_registered_model_loads_without_this_checkout(gate: Gate, tmp_path: Path) -> None:
    """Elsewhere, with mlflow, torch and safetensors alone: metasgd comes with it, the bits are the same."""
    task = served_task(gate)
    np.savez(tmp_path / "task.npz", **task)  # type: ignore[arg-type]
    code = FRESH.format(
        checkout=str(CHECKOUT),
        refused=["components", "pipelines", "kfp", "dvc", "torchvision", "omegaconf", "rich", "boto3"],
        uri=URI,
        task=str(tmp_path / "task.npz"),
        output=str(tmp_path / "predictions.npy"),
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    home = finished.stdout.strip().splitlines()[-1]
    assert not home.startswith(str(CHECKOUT))
    assert "/code/metasgd/" in home
    np.testing.assert_array_equal(np.load(tmp_path / "predictions.npy"), expected_predictions(gate, task))


def test_the_model_describes_itself(gate: Gate) -> None:
    """Signature with any number of examples, an input example, and pinned requirements: no pickle."""
    info = mlflow.models.get_model_info(URI)
    assert [spec.name for spec in info.signature.inputs.inputs] == [
        "support_examples", "support_labels", "query_examples",
    ]  # fmt: skip
    assert all(spec.shape == (-1, 1) for spec in info.signature.inputs.inputs)
    place = Path(mlflow.artifacts.download_artifacts(URI))
    required = (place / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in required] == ["mlflow", "torch", "safetensors", "numpy"]
    assert not [path for path in place.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]


def test_a_model_of_pictures_gives_class_numbers(tmp_path: Path) -> None:
    """Classification answers int64 classes, the likeliest of each picture."""
    problem = Problem("classification", (1, 8, 8), 3)
    learner = build_learner(problem, convnet_settings(), learner_settings(start=(0.5, 0.5), test_steps=3))
    meta = learner.initial(generator(1, "theta"))
    save_checkpoint(tmp_path, learner, meta, {})
    x = torch.rand((3, 1, 8, 8), generator=generator(2, "pictures"))
    labels = torch.arange(3)
    model = AdaptingModel(tmp_path)
    classes = model.predict(
        {"support_examples": x.numpy(), "support_labels": labels.numpy(), "query_examples": x.numpy()}
    )
    served = learner.served
    expected = served.predict(served.adapt(meta, Examples(x, labels), 3), x).argmax(dim=-1)
    assert classes.dtype == np.int64
    assert classes.tolist() == expected.tolist()


def test_the_served_model_takes_the_learners_own_steps(gate: Gate, tmp_path: Path) -> None:
    """A learner that is tested after three steps serves what three steps give, and one step does not."""
    training = gate.lane.training()
    problem = load_checkpoint(gate.lane.checkpoint())[0].problem
    learner = build_learner(problem, training.network, replace(training.learner, test_steps=3))
    meta = learner.initial(generator(1, "theta"))
    save_checkpoint(tmp_path, learner, meta, {})
    task = served_task(gate)
    x, y, q = (torch.tensor(value) for value in task.values())
    one, three = (learner.predict(learner.adapt(meta, Examples(x, y), steps), q).numpy() for steps in (1, 3))
    model = AdaptingModel(tmp_path)
    np.testing.assert_allclose(model.predict(task), three, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(task, {"steps": 1}), one, rtol=1e-5, atol=1e-6)
    assert not np.allclose(one, three)


def classifier(folder: Path, head: str = "per-class") -> AdaptingModel:
    """Of three classes of small pictures, normalised by the query batch in training."""
    problem = Problem("classification", (1, 8, 8), 3)
    learner = build_learner(problem, convnet_settings(head=head), learner_settings(start=(0.5, 0.5)))
    save_checkpoint(folder, learner, learner.initial(generator(1, "theta")), {})
    return AdaptingModel(folder)


def pictures_task(ways: int, queries: int, seed: int) -> dict[str, np.ndarray]:
    x = torch.rand((2 * ways + queries, 1, 8, 8), generator=generator(seed, "pictures")).numpy()
    labels = np.arange(ways).repeat(2)
    return {"support_examples": x[: 2 * ways], "support_labels": labels, "query_examples": x[2 * ways :]}


def test_a_query_gets_the_same_bits_alone_and_among_others(tmp_path: Path) -> None:
    """Though the network was trained with queries that are normalised by their batch."""
    model, task = classifier(tmp_path), pictures_task(3, 6, seed=2)
    together = model.predict(task, {"probabilities": True})
    for number in range(6):
        alone = {**task, "query_examples": task["query_examples"][number : number + 1]}
        np.testing.assert_array_equal(model.predict(alone, {"probabilities": True})[0], together[number])


def test_probabilities_are_those_of_the_classes(tmp_path: Path) -> None:
    model, task = classifier(tmp_path), pictures_task(3, 4, seed=3)
    probabilities = model.predict(task, {"probabilities": True})
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(task))


def test_several_tasks_in_one_call(tmp_path: Path) -> None:
    """Each as if it were alone, whatever the sizes; classes that a task does not have get 0."""
    model = classifier(tmp_path)
    tasks = [pictures_task(3, 4, seed=4), pictures_task(2, 1, seed=5)]
    joined = {name: np.concatenate([task[name] for task in tasks]) for name in tasks[0]}
    sizes = {"support_sizes": [6, 4], "query_sizes": [4, 1]}
    apart = [model.predict(task, {"probabilities": True}) for task in tasks]
    together = model.predict(joined, {"probabilities": True, **sizes})
    np.testing.assert_array_equal(together[:4], apart[0])
    np.testing.assert_array_equal(together[4:, :2], apart[1])
    assert together[4, 2] == 0


@pytest.mark.parametrize(("head", "most"), [("per-class", 3), ("shared", 7)])
def test_the_number_of_classes_is_the_users(tmp_path: Path, head: str, most: int) -> None:
    """Fewer than in training; with a shared head, more. A row per class leaves none for a fourth."""
    model = classifier(tmp_path, head)
    for ways in range(2, most + 1):
        assert model.predict(pictures_task(ways, 5, seed=6), {"probabilities": True}).shape == (5, ways)
    if head == "per-class":
        with pytest.raises(MlflowException, match=r"4 classes; expected 2 to 3"):
            model.predict(pictures_task(4, 5, seed=6))


def test_steps_zero_is_the_model_before_adaptation(tmp_path: Path) -> None:
    """A shared head tells no classes apart there."""
    probabilities = classifier(tmp_path, "shared").predict(
        pictures_task(4, 2, seed=7), {"steps": 0, "probabilities": True}
    )
    np.testing.assert_allclose(probabilities, 0.25, rtol=1e-6)


WRONG = {
    "x 255": ({"query_examples": lambda x: x * 255}, {}, "go from .* expected values from 0 to 1"),
    "nan": ({"support_examples": lambda x: x * np.nan}, {}, "not finite"),
    "shape": ({"query_examples": lambda x: x[:, 0]}, {}, r"query examples are \[4, 8, 8\]; expected"),
    "no query": ({"query_examples": lambda x: x[:0]}, {}, "query_sizes are .0.; expected numbers above 0"),
    "fraction": ({"support_labels": lambda y: y + 0.5}, {}, "not all whole numbers"),
    "negative": ({"support_labels": lambda y: y - 1}, {}, "not all whole numbers"),
    "gap": ({"support_labels": lambda y: y * 2}, {}, "class 1 has no support example"),
    "huge": ({"support_labels": lambda y: y + 10**12}, {}, "class 0 has no support example"),
    "fewer labels": ({"support_labels": lambda y: y[:3]}, {}, "3 support labels; expected 6"),
    "steps": ({}, {"steps": -1}, "expected 0 to 1000"),
    "unknown": ({}, {"temperature": 1.0}, "params.temperature is unknown; expected some of steps"),
    "sizes": ({}, {"support_sizes": [6], "query_sizes": [3]}, "query_sizes are .* with the sum 4"),
    "uneven": ({}, {"support_sizes": [3, 3]}, "2 support_sizes and 1 query_sizes"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_task_is_refused_in_one_line(tmp_path: Path, wrong: str) -> None:
    changes, params, message = WRONG[wrong]
    task = pictures_task(3, 4, seed=8)
    for name, change in changes.items():
        task[name] = change(task[name])
    with pytest.raises(MlflowException, match=message) as caught:
        classifier(tmp_path).predict(task, params)
    assert "\n" not in caught.value.message


def test_a_policy_before_and_after_adaptation(tmp_path: Path) -> None:
    """Trajectories are drawn by the policy before adaptation, unclipped; what is served is clipped."""
    learner = policy_learner()
    meta = learner.initial(generator(1, "theta"))
    meta.theta["linear1.bias"][:] = 3.0
    save_checkpoint(tmp_path, learner, meta, {"tasks": {"distribution": {"clip": 0.5}}})
    model = AdaptingModel(tmp_path)
    seen = np.zeros((4, 2), np.float32)
    empty = {
        "support_observations": np.zeros((0, 5, 2), np.float32),
        "support_actions": np.zeros((0, 5, 2), np.float32),
        "support_rewards": np.zeros((0, 5), np.float32),
        "support_alive": np.zeros((0, 5), bool),
        "query_observations": seen,
    }
    assert (model.predict(empty, {"steps": 0}) == 0.5).all()
    drawn = model.predict(empty, {"steps": 0, "sampling_seed": 7})
    assert drawn.max() > 2
    np.testing.assert_array_equal(drawn, model.predict(empty, {"steps": 0, "sampling_seed": 7}))
    noise = generator(2, "trajectories")
    given = {
        "support_observations": torch.rand((6, 5, 2), generator=noise).numpy(),
        "support_actions": torch.randn((6, 5, 2), generator=noise).numpy(),
        "support_rewards": torch.rand((6, 5), generator=noise).numpy(),
        "support_alive": np.ones((6, 5), bool),
        "query_observations": seen,
    }
    assert np.isfinite(model.predict(given)).all()
    with pytest.raises(MlflowException, match=r"support_rewards are .* as support_alive"):
        model.predict({**given, "support_rewards": given["support_rewards"][:3]})
