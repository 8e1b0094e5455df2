"""The code that runs: its commit, and the contents of files."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from components.config.environment import COMMIT

ROOT = Path(__file__).parents[2]
UNKNOWN = "unknown"


def git_commit() -> str:
    """The code's commit, marked when files differ from it; the environment says it where there is no git."""
    if stated := os.environ.get(COMMIT):
        return stated
    return git(ROOT, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*") or UNKNOWN


def git(root: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, or no checkout."""
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def tree_digest(root: Path, places: Iterable[str], pattern: str = "*", salt: str = "") -> str:
    """The SHA-256 of names and contents of files, and of files in folders, below `root`.

    pattern: which files of a folder count. salt: what else decides; it is hashed first.
    """
    digest = hashlib.sha256(salt.encode())
    for name in places:
        place = root / name
        for file in sorted(place.rglob(pattern)) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                digest.update(f"\0{file.relative_to(root)} {len(content)}\0".encode() + content)
    return digest.hexdigest()
