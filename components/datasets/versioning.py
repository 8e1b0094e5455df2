"""The few DVC commands that putting data in place needs, run in a repository's top folder."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from metasgd.errors import InputError


class Remote(NamedTuple):
    """A DVC remote's address, and that of its S3 server where it is not AWS's."""

    url: str
    endpoint: str | None


@cache
def default_remote(root: Path) -> Remote | None:
    """The default remote, if one is configured; asked once, as every DVC command takes a second.

    Raises InputError with DVC's own line for settings that it cannot read.
    """
    listed = _dvc(root, "config", "--list")
    _require(listed, "dvc config --list", "settings that DVC can read")
    # The list may hold secrets: nothing but the default remote's two addresses leaves this function.
    settings = dict(line.partition("=")[::2] for line in listed.stdout.splitlines())
    name = settings.get("core.remote")
    url = settings.get(f"remote.{name}.url")
    return Remote(url, settings.get(f"remote.{name}.endpointurl")) if url else None


def has_remote(root: Path) -> bool:
    """Whether a default remote is configured."""
    return _dvc(root, "config", "core.remote").returncode == 0


def pull(root: Path, pin: str) -> None:
    """Fetch what a .dvc file pins from the default remote. InputError with DVC's own line if it fails."""
    _require(_dvc(root, "pull", pin), f"dvc pull {pin}", "a remote that has the data, or DATA_SOURCE=…")


def add(root: Path, folder: str) -> None:
    """Pin a folder as it is now. InputError with DVC's own line if that fails."""
    without_git = "dvc config --local core.no_scm true" if (root / ".dvc").is_dir() else "dvc init --no-scm"
    expected = f"a repository set up by `git init` and `dvc init`, or by `{without_git}` to do without git"
    _require(_dvc(root, "add", folder), f"dvc add {folder}", expected)


def pinned_hash(root: Path, pin: str) -> str | None:
    """The hash of all contents that a .dvc file holds; None without such a file."""
    found = re.search(r"md5: (\S+)", (root / pin).read_text()) if (root / pin).is_file() else None
    return found[1] if found else None


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def _require(finished: subprocess.CompletedProcess[str], command: str, expected: str) -> None:
    if finished.returncode:
        lines = (finished.stderr.strip() or finished.stdout.strip() or "no message").splitlines()
        reasons = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise InputError(
            f"`{command}` failed with exit code {finished.returncode} ({reasons[0]}); expected {expected}"
        )
