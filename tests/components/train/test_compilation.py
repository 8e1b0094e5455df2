"""Where compiled meta-gradients are kept."""

import os
from pathlib import Path

import pytest

from components.config.environment import COMPILED
from components.train.compilation import keep_compiled


def test_what_is_compiled_is_kept_beside_the_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In .local, wherever the process goes later; a place that somebody named stays theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COMPILED, raising=False)
    keep_compiled()
    assert os.environ[COMPILED] == f"{tmp_path}/.local/compiled"
    monkeypatch.setenv(COMPILED, "/elsewhere")
    keep_compiled()
    assert os.environ[COMPILED] == "/elsewhere"
