"""A model by its name in the registry, or by the folder of its checkpoint."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.artifacts.checkpoint import load_served
from components.config.preparation import Preparation
from components.config.settings import TaskSettings
from components.kinds.table import task_settings
from components.tracking.client import UNKNOWN, connect
from components.tracking.registry import CHAMPION, fetch_checkpoint
from metasgd.checkpoint import ABOUT
from metasgd.errors import InputError
from metasgd.serving import ServedModel


@dataclass(frozen=True)
class OpenModel:
    """name: as it was asked for. version: in the registry; None for a folder's checkpoint.

    algorithm, seed: of its training. tasks: the experiment's section `tasks`.
    preparation: of pictures; None for a model that takes none.
    """

    name: str
    version: str | None
    algorithm: str
    seed: int
    tasks: TaskSettings
    served: ServedModel
    preparation: Preparation | None = None


def open_model(name: str, version: str | None = None, alias: str | None = None) -> OpenModel:
    """name: a registered model, of this version or alias, or else its champion; or a checkpoint folder, as
    those of models/, or a folder with one of them.

    Raises InputError for what is not there, and for a checkpoint that does not say how examples are prepared.
    """
    if folder := _checkpoint_folder(name):
        if version or alias:
            raise InputError(f"MODEL {name} is a checkpoint folder; expected no VERSION and no ALIAS with it")
        return _opened(name, None, folder)
    if version and alias:
        raise InputError(f"VERSION {version} and ALIAS {alias} are both given; expected one of them")
    client = connect()
    number = version or _by_alias(client, name, alias or CHAMPION)
    with tempfile.TemporaryDirectory() as scratch:
        return _opened(name, number, _fetched(client, name, number, Path(scratch)))


def _checkpoint_folder(name: str) -> Path | None:
    """Raises InputError for a folder of several checkpoints."""
    place = Path(name)
    if not place.is_dir():
        return None
    folders = [about.parent for about in (*place.glob(ABOUT), *sorted(place.glob(f"*/{ABOUT}")))]
    if len(folders) > 1:
        listed = ", ".join(map(str, folders))
        raise InputError(f"MODEL {name} holds several models; expected one of {listed}")
    return folders[0] if folders else None


def _by_alias(client: MlflowClient, name: str, alias: str) -> str:
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        raise _unknown(client, name, f"alias {alias!r}", error) from None


def _fetched(client: MlflowClient, name: str, number: str, scratch: Path) -> Path:
    try:
        client.get_model_version(name, number)
        return fetch_checkpoint(name, number, scratch)
    except MlflowException as error:
        raise _unknown(client, name, f"version {number!r}", error) from None


def _unknown(client: MlflowClient, name: str, which: str, error: MlflowException) -> Exception:
    if error.error_code not in UNKNOWN:
        return error
    known = sorted(found.name for found in client.search_registered_models())
    if name in known:
        versions = sorted(int(v.version) for v in client.search_model_versions(f"name='{name}'"))
        listed = ", ".join(map(str, versions)) or "none"
        return InputError(f"MODEL {name!r} has no {which}; expected one of its versions: {listed}")
    expected = f"a checkpoint folder, as those in models/, or one of: {', '.join(known) or 'none yet'}"
    return InputError(f"MODEL {name!r} is not registered; expected {expected}")


def _opened(name: str, number: str | None, folder: Path) -> OpenModel:
    where = f"MODEL {name}" if number is None else f"MODEL {name} version {number}"
    learner, meta, origin, examples = load_served(folder, where)
    tasks, served = task_settings(examples.tasks, where), ServedModel(learner, meta)
    preparation = examples.preparation or tasks.preparation
    return OpenModel(name, number, origin.algorithm, origin.seed, tasks, served, preparation)
