"""Registering a trained model: what MLflow is given to serve."""

import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from components.artifacts.checkpoint import Trained
from components.artifacts.results import Result
from components.config.code import ROOT
from components.promote.card import model_card
from components.serving.served_model import AdaptingModel
from components.tracking.patience import patiently
from components.tracking.registry import CHECKPOINT

PACKAGE = ROOT / "metasgd"
SERVED = ROOT / "components" / "serving" / "served_model.py"
REQUIREMENTS = ("mlflow", "torch", "safetensors", "numpy")


def register(
    client: MlflowClient, run_id: str, trained: Trained, result: Result, example: Mapping[str, np.ndarray]
) -> str:
    """A version, serving this checkpoint, of the model named like the experiment; returns its number.

    A training is registered once: repeated, this finds its version. Only within the model's lock.
    run_id: the training's.
    example: one task as the served model takes it; it gives the signature, and the UI shows it.
    """
    if (found := _version(client, result.experiment, run_id)) is None:
        model_id = _logged(client, run_id) or _log_model(client, run_id, trained, result, example)
        _link(client, run_id, model_id, result)
        uri = f"models:/{model_id}"
        tags = {"algorithm": result.algorithm, "seed": str(result.seed), "data": result.data}

        def registered() -> str:
            # Asked again, because the answer to a registration can be lost on its way.
            known = _version(client, result.experiment, run_id)
            return known or str(mlflow.register_model(uri, result.experiment, tags=tags).version)

        found = patiently(registered, mlflow.get_tracking_uri())
    client.update_model_version(result.experiment, found, description=model_card(trained, result))
    client.update_registered_model(result.experiment, description=_family(result))
    return found


def _version(client: MlflowClient, model: str, run_id: str) -> str | None:
    found = client.search_model_versions(f"name='{model}' and run_id='{run_id}'")
    return min((str(one.version) for one in found), key=int, default=None)


def _logged(client: MlflowClient, run_id: str) -> str | None:
    """The model that an earlier attempt logged for that run; not one that it left half-written."""
    place = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models([place], filter_string=f"source_run_id = '{run_id}'")
    return next((str(one.model_id) for one in found if one.status == LoggedModelStatus.READY), None)


def _link(client: MlflowClient, run_id: str, model_id: str, result: Result) -> None:
    """The run's page names the model, and the model's page the scores."""

    def linked() -> None:
        # Asked again, because the answer can be lost on its way, and the store takes a link once.
        outputs = client.get_run(run_id).outputs
        if model_id not in {one.model_id for one in (outputs.model_outputs if outputs else [])}:
            client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])

    patiently(linked, mlflow.get_tracking_uri())
    scores = {"before": result.steps[0], "after": result.after, "served": result.as_served}
    now = int(time.time() * 1000)
    metrics = [
        Metric(f"test_{result.metric}_{name}", score.mean, now, 0, model_id=model_id)
        for name, score in scores.items()
    ]
    client.log_batch(run_id, metrics=metrics)


def _log_model(
    client: MlflowClient, run_id: str, trained: Trained, result: Result, example: Mapping[str, np.ndarray]
) -> str:
    """The model's files, as one that MLflow lists among its experiment's models; returns its id."""
    with tempfile.TemporaryDirectory() as scratch:
        place, data = Path(scratch) / "model", Path(scratch) / CHECKPOINT
        shutil.copytree(trained.folder, data)
        model = AdaptingModel(data)
        mlflow.pyfunc.save_model(
            place,
            loader_module=SERVED.stem,
            data_path=str(data),
            code_paths=[str(SERVED), str(PACKAGE)],
            signature=_signature(example, model),
            input_example=dict(example),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            metadata=_metadata(trained, result),
        )
        (place / "model-card.md").write_text(model_card(trained, result))
        logged = client.create_logged_model(
            client.get_run(run_id).info.experiment_id,
            re.sub(r"\W", "-", result.name),  # MLflow takes no dots and colons here
            source_run_id=run_id,
            params={"algorithm": result.algorithm, "seed": str(result.seed)},
        )
        client.log_model_artifacts(logged.model_id, str(place))
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        return str(logged.model_id)


def _metadata(trained: Trained, result: Result) -> dict[str, Any]:
    """What a program can ask of the model without loading it."""
    return {
        "algorithm": result.algorithm,
        "seed": result.seed,
        "commit": result.commit,
        "data": result.data,
        "task_set": result.task_set,
        "metric": result.metric,
        "served": result.as_served.mean,
        "served_ci95": result.as_served.ci95,
        "tasks": trained.about.tasks,
    }


def _family(result: Result) -> str:
    """Of all versions of the model."""
    return (
        f"Adapts to a new task by one gradient step on {result.shots} examples. A version is a training; the "
        "alias `champion` names the best of them on the stored gate tasks. Every version has a model card."
    )


def _signature(example: Mapping[str, np.ndarray], model: AdaptingModel) -> ModelSignature:
    """Any number of examples, each of the example's shape; as many answers come out."""
    answer = model.predict(example)
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(value.dtype, (-1, *value.shape[1:]), name) for name, value in example.items()
    ]
    outputs = Schema([TensorSpec(answer.dtype, (-1, *answer.shape[1:]))])
    params = ParamSchema([_param(*item) for item in model.params.items()])
    return ModelSignature(Schema(inputs), outputs, params)


def _param(name: str, default: Any) -> ParamSpec:
    if isinstance(default, list):
        return ParamSpec(name, DataType.long, default, (-1,))
    return ParamSpec(name, DataType.boolean if isinstance(default, bool) else DataType.long, default)
