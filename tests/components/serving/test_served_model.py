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
from metasgd.adaptation import Learner, Problem
from metasgd.checkpoint import load_checkpoint, save_checkpoint
from metasgd.seeds import generator
from metasgd.tasks import Examples
from tests.components.promote.contest import CHECKOUT, Gate
from tests.metasgd.small import convnet_settings, learner_settings

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
        return learner.predict(adapted, query_x).numpy()


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
    learner = Learner.build(problem, convnet_settings(), learner_settings(start=(0.5, 0.5), test_steps=3))
    meta = learner.initial(generator(1, "theta"))
    save_checkpoint(tmp_path, learner, meta, {})
    x = torch.rand((3, 1, 8, 8), generator=generator(2, "pictures"))
    labels = torch.arange(3)
    model = AdaptingModel(tmp_path)
    classes = model.predict(
        {"support_examples": x.numpy(), "support_labels": labels.numpy(), "query_examples": x.numpy()}
    )
    expected = learner.predict(learner.adapt(meta, Examples(x, labels), 3), x).argmax(dim=-1)
    assert classes.dtype == np.int64
    assert classes.tolist() == expected.tolist()


def test_the_served_model_takes_the_learners_own_steps(gate: Gate, tmp_path: Path) -> None:
    """A learner that is tested after three steps serves what three steps give, and one step does not."""
    training = gate.lane.training()
    problem = load_checkpoint(gate.lane.checkpoint())[0].problem
    learner = Learner.build(problem, training.network, replace(training.learner, test_steps=3))
    meta = learner.initial(generator(1, "theta"))
    save_checkpoint(tmp_path, learner, meta, {})
    task = served_task(gate)
    x, y, q = (torch.tensor(value) for value in task.values())
    one, three = (learner.predict(learner.adapt(meta, Examples(x, y), steps), q).numpy() for steps in (1, 3))
    np.testing.assert_array_equal(AdaptingModel(tmp_path).predict(task), three)
    assert not np.allclose(one, three)
