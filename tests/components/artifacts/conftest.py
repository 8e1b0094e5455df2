"""Episodes of pictures that say what they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.config.settings import TaskSettings
from components.kinds.experiment import load_experiment
from tests.components.artifacts.drawn import CLASSES, OVERRIDES, PICTURES, shade
from tests.components.datasets.helpers import png, write_files
from tests.components.lane import PARAMS


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 class folders with 6 one-shade pictures each."""
    names = [(label, number) for label in range(CLASSES) for number in range(PICTURES)]
    files = {f"{chr(97 + label)}/{number}.png": png(shade(label, number)) for label, number in names}
    return write_files(tmp_path_factory.mktemp("data") / "birds", files)


@pytest.fixture(scope="module")
def image_tasks(birds: Path) -> Callable[..., TaskSettings]:
    """Parameters of episodes from that folder, with some keys changed."""

    def make(*changes: str) -> TaskSettings:
        overrides = [*OVERRIDES, f"tasks.source.path={birds}", *changes]
        return load_experiment("glyphs-5way-1shot", overrides, PARAMS).tasks

    return make
