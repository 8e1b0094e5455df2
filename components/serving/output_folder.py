"""The folder of predictions: written whole or not at all, and only over predictions."""

import errno
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasgd.errors import InputError
from metasgd.own_folder import own_folder, require_own

if TYPE_CHECKING:
    from components.serving.models import OpenModel  # with torch, which this file's first use does without

TABLE, PAGE, FIGURE, ABOUT = "predictions.csv", "predictions.html", "predictions.svg", "predictions.json"
WRITER = "components.serving.predict"
# A path that can be no folder's: below a file, too long, or in a circle of links.
IMPOSSIBLE = (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


def require_free(output: Path) -> None:
    """Raises InputError for a place that holds anything but earlier predictions, or can hold none."""
    try:
        above = next(parent for parent in output.absolute().parents if parent.exists())
        require_own(output, WRITER)
    except InputError as error:
        raise InputError(f"--output {error}") from None
    except OSError as error:
        raise _impossible(output, error) from None
    if not above.is_dir():
        raise InputError(f"--output {output}: {above} is a file; expected the place of a folder")


def write_output(
    output: Path, model: "OpenModel", about: Mapping[str, Any], write: Callable[[Path], None]
) -> None:
    """Write the folder whole, or leave what was there.

    about: what `predictions.json` says beside the model. write: puts the other files into the folder that it
        is given.
    Raises InputError as `require_free`.
    """
    require_free(output)
    try:
        with own_folder(output, WRITER) as folder:
            write(folder)
            (folder / ABOUT).write_text(json.dumps({**_facts(model), **about}, indent=2) + "\n")
    except OSError as error:
        if error.errno not in IMPOSSIBLE:
            raise
        raise _impossible(output, error) from None


def _facts(model: "OpenModel") -> dict[str, Any]:
    return {
        "model": model.name,
        "version": model.version,
        "algorithm": model.algorithm,
        "seed": model.seed,
        "steps": model.served.learner.settings.test_steps,
    }


def _impossible(output: Path, error: OSError) -> InputError:
    return InputError(f"--output {output}: {error.strerror}; expected the place of a folder")
