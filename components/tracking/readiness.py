"""Whether a store will take what a pipeline run is about to bring: asked before the first training."""

from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.console.messages import in_one_line
from components.tracking.client import UNKNOWN, experiment_id
from components.tracking.lock import is_taken
from metasgd.errors import InputError

PROBE = ".check"  # behind the name of a model: what is made and deleted to see whether it may be
RIGHTS = "expected the right to register models and to move their aliases"


def require_ready(client: MlflowClient, experiments: Iterable[str], models: Iterable[str]) -> None:
    """experiments: MLflow's, made where they are missing. models: those that will be registered.

    Raises InputError for an experiment that is deleted, and for a registry that refuses.
    """
    for name in experiments:
        experiment_id(client, name)
    for model in models:
        try:
            _require_rights(client, model)
        except (InputError, MlflowException) as error:
            raise InputError(f"model {model!r}: {in_one_line(error)}; {RIGHTS}") from None


def _require_rights(client: MlflowClient, model: str) -> None:
    """A model of one's own can be made and deleted; one that is there can be changed."""
    try:
        client.get_registered_model(model)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        _make_and_delete(client, f"{model}{PROBE}")
        return
    client.set_registered_model_tag(model, "check", "")
    client.delete_registered_model_tag(model, "check")


def _make_and_delete(client: MlflowClient, name: str) -> None:
    """What another check has made, or deleted already, is no obstacle: nor is what a killed one left."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if not is_taken(error):
            raise
    try:
        client.delete_registered_model(name)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
