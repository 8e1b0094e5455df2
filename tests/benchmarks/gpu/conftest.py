"""A tiny training of pictures, prepared for a machine with a GPU."""

from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.gpu.pack import pack
from tests.components.kinds.test_image_classes import PLAIN, birds

PICTURES = "pictures-5way-1shot"


class Tiny(NamedTuple):
    """overrides: of PICTURES. folder: what is prepared. kept: the episodes that it is from."""

    overrides: tuple[str, ...]
    folder: Path
    kept: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Two ways, four in meta-training; all classes are turned."""
    root = tmp_path_factory.mktemp("gpu")
    overrides = (
        f"tasks.source.path={birds(root / 'birds', PLAIN)}", "tasks.source.size=8",
        "tasks.source.rotations=true", "tasks.source.rotate_test=true", "tasks.distribution.ways=2",
        "tasks.stored.validation=4", "tasks.stored.gate=4", "tasks.stored.test=4",
        "tasks.stored.test_queries=2",
        "network.blocks=2", "network.filters=4", "train.iterations=6", "train.validate_every=3",
        "train.meta_batch=2", "compare=[meta-sgd]", "algorithms.meta-sgd.ways=4",
    )  # fmt: skip
    pack(PICTURES, overrides, root / "prepared", root / "kept")
    return Tiny(overrides, root / "prepared", root / "kept")
