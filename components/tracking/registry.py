"""MLflow's model registry: versions, the alias `champion`, and the record of its moves.

The record is a tag of the registered model per move, so that the UI shows it: the key holds the
time, the value says from which version to which, and why.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.console.messages import in_one_line
from components.tracking.client import UNKNOWN
from components.tracking.lock import promotion_lock
from components.tracking.patience import patiently
from metasgd.errors import InputError

CHAMPION = "champion"
MOVE = "champion-move."
ROLLBACK = "rollback by hand"
FOUND = "found there: the move before was cut off or taken back"
CHECKPOINT = "checkpoint"  # the folder in a registered model


class ArtifactsError(InputError):
    """A version is registered, and its files are gone: another try would not help."""


@dataclass(frozen=True)
class Move:
    """One move of the alias; before is None for a first champion."""

    before: str | None
    after: str
    why: str


def champion(client: MlflowClient, model: str) -> str | None:
    """The champion's version, or None where the model or its alias does not exist yet."""
    try:
        return str(client.get_model_version_by_alias(model, CHAMPION).version)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise


def fetch_checkpoint(model: str, number: str, folder: Path) -> Path:
    """Download a version's checkpoint into `folder`. Raises ArtifactsError where it is gone."""
    uri = f"models:/{model}/{number}"
    try:
        place = patiently(
            lambda: mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)), mlflow.get_tracking_uri()
        )
    except (MlflowException, OSError) as error:
        raise ArtifactsError(f"{uri}: its files cannot be had ({in_one_line(error)})") from None
    return Path(place) / "data" / CHECKPOINT


def move_champion(client: MlflowClient, model: str, move: Move) -> None:
    """Record the move, and point the alias at the other version: whoever is killed in between has said so.

    Only within the model's lock (components.tracking.lock). Raises InputError where the alias points
    elsewhere in the end: somebody moved it by other means.
    """
    _record(client, model, move)
    client.set_registered_model_alias(model, CHAMPION, move.after)
    if (now := champion(client, model)) != move.after:
        raise InputError(
            f"MODEL {model!r}: the alias {CHAMPION!r} was moved to version {now} by other means; expected "
            f"{move.after}: the same command judges anew"
        )


def reconcile(client: MlflowClient, model: str) -> None:
    """Where the alias is not where the last recorded move left it, record that, too.

    A process was killed before it moved it, or somebody moved it by other means. Only within the lock.
    """
    now = champion(client, model)
    record = moves(client, model) if now is not None else []
    if now is not None and record and record[-1].after != now:
        _record(client, model, Move(record[-1].after, now, FOUND))


def _record(client: MlflowClient, model: str, move: Move) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    client.set_registered_model_tag(model, f"{MOVE}{now}", json.dumps(asdict(move)))


def moves(client: MlflowClient, model: str) -> list[Move]:
    """The record, oldest first. Raises InputError for a model that is not registered."""
    try:
        tags = client.get_registered_model(model).tags
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            known = ", ".join(sorted(found.name for found in client.search_registered_models())) or "none"
            raise InputError(f"MODEL {model!r} is not registered; expected one of: {known}") from None
        raise
    return [Move(**json.loads(value)) for key, value in sorted(tags.items()) if key.startswith(MOVE)]


def rollback(client: MlflowClient, model: str, number: str | None) -> Move:
    """Point the alias at `number`, or at the champion before the present one.

    Raises InputError where there is no such version, or nothing to go back to.
    """
    moves(client, model)  # or the model is unknown
    with promotion_lock(client, model):
        return _rolled_back(client, model, number)


def _rolled_back(client: MlflowClient, model: str, number: str | None) -> Move:
    reconcile(client, model)
    record, now = moves(client, model), champion(client, model)
    number = number or _before(record, now)
    if now is None and number is None:
        raise InputError(f"MODEL {model!r}: has no champion to go back from; expected VERSION=…")
    if number is None:
        raise InputError(f"MODEL {model!r}: version {now} had no champion before it; expected VERSION=…")
    versions = sorted((found.version for found in client.search_model_versions(f"name='{model}'")), key=int)
    if number not in map(str, versions):
        known = ", ".join(map(str, versions))
        raise InputError(f"VERSION {number!r} of {model} does not exist; expected one of {known}")
    if number == now:
        raise InputError(f"VERSION {number!r} of {model} is the champion already; expected another version")
    move = Move(now, number, ROLLBACK)
    move_champion(client, model, move)
    return move


def _before(record: list[Move], now: str | None) -> str | None:
    """Whom the present champion replaced when it was promoted."""
    promotions = [move for move in record if move.why not in (ROLLBACK, FOUND)]
    return next((move.before for move in reversed(promotions) if move.after == now), None)
