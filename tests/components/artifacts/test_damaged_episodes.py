"""Episodes that are missing, cut short or something else: one line that names the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.artifacts.episodes import IMAGES, MANIFEST, TASKS
from components.config.settings import TaskSettings
from components.kinds.table import load_tasks
from metasgd.errors import InputError
from tests.components.artifacts.drawn import sine_tasks, written


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_tasks(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"tasks": {"kind": "sinusoid"}}',
        b'{"tasks": {"kind": "sounds"}}',
        b'{"tasks": "\xff"}',
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    """Anything but a manifest in its place: one line that names the file."""
    (written(sine_tasks(), tmp_path / "episodes") / MANIFEST).write_bytes(content)
    assert MANIFEST in refused(tmp_path / "episodes")


def test_missing_and_truncated_files_are_refused(
    tmp_path: Path, image_tasks: Callable[..., TaskSettings]
) -> None:
    """No folder, no tasks, half the pictures: one line each, that names the file."""
    assert "expected the output of the preprocess step" in refused(tmp_path / "nowhere")
    folder = written(image_tasks(), tmp_path / "episodes")
    whole = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(whole[: len(whole) // 2])
    assert IMAGES in refused(folder)
    (folder / IMAGES).write_bytes(whole)
    (folder / TASKS).unlink()
    assert TASKS in refused(folder)
