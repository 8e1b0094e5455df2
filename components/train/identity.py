"""What a resume state belongs to: parameters, data, and the code that decides a training's arithmetic."""

import hashlib
from pathlib import Path

import torch

from components.config.code import ROOT, tree_digest
from components.config.parsing import to_json
from components.config.settings import Training
from components.kinds.kind import Kind

# All that a training imports, but for what only talks: console, tracking, storage.
CODE = ("metasgd", "components/artifacts", "components/config", "components/kinds", "components/train")


def identity(training: Training, tasks: Kind) -> str:
    data = tasks.episodes.manifest.data
    chosen = f"{to_json(training)} {to_json(tasks.parameters)} {data} {code_digest()}"
    return hashlib.sha256(chosen.encode()).hexdigest()


def code_digest(root: Path = ROOT) -> str:
    """Of the code, and of torch's version."""
    return tree_digest(root, CODE, "*.py", salt=torch.__version__)
