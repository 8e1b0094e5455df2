"""Registering a trained model: what MLflow is given to serve."""

import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from components.artifacts.results import Result
from components.config.code import ROOT
from components.serving.served_model import AdaptingModel
from components.tracking.registry import CHECKPOINT

PACKAGE = ROOT / "metasgd"
SERVED = ROOT / "components" / "serving" / "served_model.py"
REQUIREMENTS = ("mlflow", "torch", "safetensors", "numpy")


def register(
    client: MlflowClient, run_id: str, checkpoint: Path, result: Result, example: Mapping[str, np.ndarray]
) -> str:
    """A version, serving this checkpoint, of the model named like the experiment; returns its number.

    A training is registered once: repeated, this finds its version.
    run_id: the training's.
    example: one task as the served model takes it; it gives the signature, and the UI shows it.
    """
    if found := client.search_model_versions(f"name='{result.experiment}' and run_id='{run_id}'"):
        return str(found[0].version)
    with tempfile.TemporaryDirectory() as scratch:
        place, data = Path(scratch) / "model", Path(scratch) / CHECKPOINT
        shutil.copytree(checkpoint, data)
        mlflow.pyfunc.save_model(
            place,
            loader_module=SERVED.stem,
            data_path=str(data),
            code_paths=[str(SERVED), str(PACKAGE)],
            signature=_signature(example, AdaptingModel(data).predict(example)),
            input_example=dict(example),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
        client.log_artifacts(run_id, str(place), "model")
    tags = {"algorithm": result.algorithm, "seed": str(result.seed), "data": result.data}
    return str(mlflow.register_model(f"runs:/{run_id}/model", result.experiment, tags=tags).version)


def _signature(example: Mapping[str, np.ndarray], answer: np.ndarray) -> ModelSignature:
    """Any number of examples, each of the example's shape; as many answers come out."""
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(value.dtype, (-1, *value.shape[1:]), name) for name, value in example.items()
    ]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(answer.dtype, (-1, *answer.shape[1:]))]))
